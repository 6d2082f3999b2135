//! Whether an EndTxn was left without an answer.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use rdkafka::bindings as sys;

use super::super::failure::Failure;
use super::OK;

/// Kafka's number of the request that ends a transaction.
const END_TXN: i16 = 26;
const INTERCEPTOR: &CStr = c"end-txn-watch";

/// Counts the EndTxn requests that end with an error of the connection or of time instead of an answer.
///
/// The client sends such a request again by itself and then reports success, and the loss of a connection
/// with one request under way it logs at most once in 30 s: only an interceptor sees each.
pub(super) fn watch_end_txn(
    config: *mut sys::rd_kafka_conf_t,
    counter: &Arc<AtomicU32>,
) -> Result<(), Failure> {
    let opaque = Arc::as_ptr(counter).cast_mut().cast::<c_void>();
    // SAFETY: the configuration is alive. The counter belongs to the context, which the client made from
    // this configuration drops after `rd_kafka_destroy` has returned.
    let code = unsafe {
        sys::rd_kafka_conf_interceptor_add_on_new(
            config,
            INTERCEPTOR.as_ptr(),
            Some(on_new),
            opaque,
        )
    };
    if code == OK {
        Ok(())
    } else {
        Err(Failure::new(code.into(), "interceptor refused"))
    }
}

unsafe extern "C" fn on_new(
    client: *mut sys::rd_kafka_t,
    _config: *const sys::rd_kafka_conf_t,
    opaque: *mut c_void,
    _error: *mut c_char,
    _error_size: usize,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: called by `rd_kafka_new` with the client it is making and the pointer of `watch_end_txn`.
    unsafe {
        sys::rd_kafka_interceptor_add_on_response_received(
            client,
            INTERCEPTOR.as_ptr(),
            Some(on_response_received),
            opaque,
        )
    }
}

unsafe extern "C" fn on_response_received(
    _client: *mut sys::rd_kafka_t,
    _socket: c_int,
    _broker_name: *const c_char,
    _broker_id: i32,
    api_key: i16,
    _api_version: i16,
    _correlation_id: i32,
    _size: usize,
    _round_trip: i64,
    error: sys::rd_kafka_resp_err_t,
    opaque: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    if api_key == END_TXN && error != OK {
        // SAFETY: the pointer of `watch_end_txn`, alive as long as the client; an atomic may be shared.
        unsafe { &*opaque.cast::<AtomicU32>() }.fetch_add(1, Ordering::Release);
    }
    OK
}
