//! What ethtool says of an interface.
