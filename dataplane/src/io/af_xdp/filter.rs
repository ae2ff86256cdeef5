//! The XDP program: which frames of an interface reach our sockets.
