//! Headwater: the origin of a software-update distribution.
pub mod catalog;
pub mod config;
pub mod crash;
pub mod device;
pub mod http;
pub mod model;
pub mod publish;
pub mod server;
pub mod store;
