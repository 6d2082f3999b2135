//! The listener for probes and metrics.

use std::net::SocketAddr;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tokio::net::TcpListener;

use crate::health::{Health, Readiness};
use crate::metrics::Metrics;
use crate::shutdown::Shutdown;

/// Serves `/healthz`, `/readyz` and `/metrics` until the shutdown is asked for.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Metrics,
    shutdown: Shutdown,
) -> std::io::Result<()> {
    let ready = move || {
        let state = health.check();
        async move {
            match state {
                Readiness::Ready => (StatusCode::OK, "ready\n".to_owned()),
                Readiness::Standby => (StatusCode::OK, "standby\n".to_owned()),
                Readiness::Stalled => (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "kafka has not answered for a while\n".to_owned(),
                ),
                Readiness::Not(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
            }
        }
    };
    let routes = Router::new()
        .route("/healthz", get(|| async { "alive\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(move || std::future::ready(metrics.text())));
    axum::serve(listener, routes)
        .with_graceful_shutdown(async move { shutdown.asked().await })
        .await
}

/// Binds the listener.
///
/// # Errors
/// If the address is taken or not one of this host.
pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    TcpListener::bind(address).await
}
