//! HTTP clients of this program. All are built here, so that all find the same TLS.

/// A client that goes straight to where it is told, past any proxy.
pub fn builder() -> reqwest::ClientBuilder {
    // Whoever was first has set it up for all.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}
