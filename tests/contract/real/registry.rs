//! The schema registry that the tests share, and what a registry in working order cannot be brought to say.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use binlog_bridge::registry::{
    HttpRegistry, Registry, RegistryError, RegistryErrorKind, RegistrySettings,
};
use binlog_bridge::secret::Secret;

use super::cluster::name;
use crate::registry::Catalog;

/// The registry as one test sees it.
pub(crate) struct HttpCatalog {
    registry: HttpRegistry,
    subject: String,
}

impl Catalog for HttpCatalog {
    type Registry = HttpRegistry;

    async fn new() -> Self {
        let url = std::env::var("BINLOG_BRIDGE_TEST_REGISTRY").expect(
            "these tests need a schema registry: set BINLOG_BRIDGE_TEST_REGISTRY to the base URL of its \
             Confluent API, such as http://127.0.0.1:18081/apis/ccompat/v7",
        );
        Self {
            registry: registry(&url, None),
            // Its characters need encoding in a path, the slash most of all.
            subject: format!("contract/100%.{}-value", name()),
        }
    }

    fn registry(&self) -> &HttpRegistry {
        &self.registry
    }

    fn subject(&self) -> String {
        self.subject.clone()
    }
}

fn registry(url: &str, account: Option<(&str, &str)>) -> HttpRegistry {
    HttpRegistry::new(RegistrySettings {
        url: url.to_owned(),
        user: account.map(|(user, _)| user.to_owned()),
        password: account.map(|(_, password)| Secret::new(password)),
        timeout: Duration::from_secs(10),
    })
    .unwrap()
}

/// Answers every request with the same bytes.
fn server_that_answers(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address.to_string()
}

/// Each request fails with the kind, whether the converter carries it out or we do, and shows no credential.
async fn check_failure(registry: &HttpRegistry, kind: RegistryErrorKind, words: &str) {
    let failures: [RegistryError; 5] = [
        registry.latest("s-value").await.unwrap_err(),
        registry.register("s-value", r#""int""#).await.unwrap_err(),
        registry.schema_by_id(1).await.unwrap_err(),
        registry.compatibility("s-value").await.unwrap_err(),
        registry
            .set_compatibility("s-value", "BACKWARD")
            .await
            .unwrap_err(),
    ];
    for error in failures {
        assert_eq!(error.kind, kind, "{error}");
        let text = format!("{error} {error:?} {registry:?} {}", registry.url());
        assert!(text.contains(words), "{text}");
        assert!(
            !text.contains("hunter2") && !text.contains("alice"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn a_wrong_password_a_dead_port_and_no_registry_are_told_apart_without_a_credential() {
    use RegistryErrorKind::{Authentication, Other, Unreachable};
    let dead = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .to_string();
    let not_json = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>";
    let closed = "Content-Length: 0\r\nConnection: close\r\n\r\n";
    let answer = |head: &str| -> &'static str { format!("HTTP/1.1 {head}\r\n{closed}").leak() };
    let unauthorized = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 48\r\nConnection: close\r\n\r\n\
                        {\"error_code\":401,\"message\":\"User is unauthorized\"}";
    for (host, kind, words) in [
        (dead, Unreachable, "Connection refused"),
        (server_that_answers(unauthorized), Authentication, "401"),
        (
            server_that_answers(answer("401 Unauthorized")),
            Authentication,
            "HTTP status 401",
        ),
        (
            server_that_answers(answer("403 Forbidden")),
            Authentication,
            "HTTP status 403",
        ),
        (
            server_that_answers(answer("503 Service Unavailable")),
            Unreachable,
            "HTTP status 503",
        ),
        (
            server_that_answers(answer("404 Not Found")),
            Other,
            "not one of a schema registry",
        ),
        (
            server_that_answers(answer("302 Found\r\nLocation: /")),
            Other,
            "not one of a schema registry",
        ),
        (
            server_that_answers(not_json),
            Other,
            "not one of a schema registry",
        ),
    ] {
        let inside = registry(&format!("http://alice:hunter2@{host}/"), None);
        check_failure(&inside, kind, words).await;
        let beside = registry(&format!("http://{host}"), Some(("alice", "hunter2")));
        check_failure(&beside, kind, words).await;
    }
}

/// The answer of a registry that refuses with this status and body.
fn refusal(status: &str, code: u32, message: &str) -> HttpRegistry {
    let body = format!("{{\"error_code\":{code},\"message\":{message:?}}}");
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close",
        body.len()
    );
    let answer = format!("{head}\r\n\r\n{body}").leak();
    registry(&format!("http://{}", server_that_answers(answer)), None)
}

#[tokio::test]
async fn the_codes_confluent_documents_are_understood() {
    let subject = refusal("404 Not Found", 40401, "Subject 's-value' not found.");
    assert_eq!(subject.latest("s-value").await.unwrap(), None);
    assert_eq!(subject.compatibility("s-value").await.unwrap(), None);
    let version = refusal("404 Not Found", 40402, "Version -1 not found.");
    assert_eq!(version.latest("s-value").await.unwrap(), None);
    let level = refusal(
        "404 Not Found",
        40408,
        "Subject 's-value' does not have a level",
    );
    assert_eq!(level.compatibility("s-value").await.unwrap(), None);
    for (status, code, kind) in [
        ("409 Conflict", 409, RegistryErrorKind::Incompatible),
        (
            "422 Unprocessable Entity",
            42201,
            RegistryErrorKind::Invalid,
        ),
        (
            "429 Too Many Requests",
            42901,
            RegistryErrorKind::Unreachable,
        ),
        (
            "500 Internal Server Error",
            50002,
            RegistryErrorKind::Unreachable,
        ),
    ] {
        let refusal = refusal(status, code, "not with default: \"li'teral\"");
        let error = refusal.register("s-value", r#""int""#).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(error.message, format!("not with default: (code {code})"));
    }
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_showing_it() {
    for url in [
        "alice:hunter2@registry:8081",
        "http//alice:hunter2@registry",
        "ftp://alice:hunter2@registry",
    ] {
        let settings = RegistrySettings {
            url: url.to_owned(),
            user: None,
            password: None,
            timeout: Duration::from_secs(1),
        };
        let error = HttpRegistry::new(settings).unwrap_err();
        assert_eq!(error.kind, RegistryErrorKind::Invalid);
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_given_up() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\nConnection: close\r\n\r\n";
    let endless = format!("{head}{}", " ".repeat(20_000_000)).leak();
    let error = registry(&format!("http://{}", server_that_answers(endless)), None)
        .latest("s-value")
        .await
        .unwrap_err();
    assert_eq!(error.kind, RegistryErrorKind::Other);
    assert!(error.message.contains("larger than"), "{error}");
}

#[tokio::test]
async fn an_answer_larger_than_a_schema_can_be_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n");
        // Endless, until the other side has had enough.
        while stream.write_all(&[b' '; 65_536]).is_ok() {}
    });
    let error = registry(&format!("http://{address}"), None)
        .latest("orders-value")
        .await
        .unwrap_err();
    assert_eq!(error.kind, RegistryErrorKind::Other);
    assert!(error.message.contains("larger than"), "{}", error.message);
}
