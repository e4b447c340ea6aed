//! What browsers and phones fetch without a credential.

pub mod app_links;
pub(crate) mod deployment_page;
mod frame;
pub mod get_docs;
pub mod get_openapi;
pub(crate) mod invitation_page;
pub mod not_found;
pub(crate) mod over;
pub(crate) mod qr;
