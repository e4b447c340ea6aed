//! What browsers and phones fetch without a credential.

pub mod app_links;
pub(crate) mod invitation_page;
pub mod not_found;
pub(crate) mod qr;
