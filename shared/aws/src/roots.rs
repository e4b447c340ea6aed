//! The certificate authorities of AWS's endpoints: Amazon Trust Services
//! (<https://www.amazontrust.com/repository/>). They are few and valid for decades, and embedding them makes a
//! start faster than loading the system's. The decision is in `infra/decisions/embedded-roots.md`.

use aws_smithy_http_client::tls::TrustStore;

const AMAZON: [&[u8]; 5] = [
    include_bytes!("../roots/amazon_root_ca_1.pem"),
    include_bytes!("../roots/amazon_root_ca_2.pem"),
    include_bytes!("../roots/amazon_root_ca_3.pem"),
    include_bytes!("../roots/amazon_root_ca_4.pem"),
    include_bytes!("../roots/starfield_services_root_certificate_authority_g2.pem"),
];

/// The certificate authorities of AWS.
pub(crate) fn amazon() -> TrustStore {
    AMAZON.iter().fold(TrustStore::empty(), |store, root| store.with_pem_certificate(root.to_vec()))
}

/// The system's certificate authorities, for calls outside AWS.
pub(crate) fn system() -> TrustStore {
    TrustStore::empty().with_native_roots(true)
}
