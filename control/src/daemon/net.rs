//! Namespaces, links and neighbours of the kernel.
