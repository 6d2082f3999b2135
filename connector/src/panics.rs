//! A panic anywhere ends the process: what goes on without one of its threads or tasks would be a zombie that still
//! says it is ready.

use std::panic::PanicHookInfo;

/// From now on a panic of any thread or task tells where it was, and ends the process by SIGABRT. Nothing is lost by
/// that: what is not committed is read again.
#[allow(
    clippy::print_stderr,
    reason = "the last words of the process are for people; a logger may be what panicked"
)]
pub(crate) fn end_the_process() {
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name").to_owned();
        eprintln!(
            "error: the program has a bug: thread {name} panicked{}",
            describe(info)
        );
        eprintln!(
            "remedy: Start it again, it goes on from its last checkpoint; and report this with the lines before it."
        );
        std::process::abort();
    }));
}

/// Where it happened, and the message if that is one of the program's own literals: any other may quote a row (I9).
fn describe(info: &PanicHookInfo<'_>) -> String {
    let place = match info.location() {
        Some(at) => format!(" at {}:{}", at.file(), at.line()),
        None => String::new(),
    };
    match info.payload().downcast_ref::<&'static str>() {
        Some(message) => format!("{place}: {message}"),
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Duration;

    const VARIABLE: &str = "BINLOG_BRIDGE_TEST_PANIC";
    const ROW: &str = "canary-of-a-row";

    /// Not a test of its own: what the other one runs as a process, which goes on for ever unless a panic ends it.
    #[test]
    fn fault_92_process() {
        let Ok(place) = std::env::var(VARIABLE) else {
            return;
        };
        let runtime = crate::cli::runtime().unwrap();
        let row = ROW.to_owned();
        let panics = move || {
            if row.is_empty() {
                return;
            }
            panic!("a row: {row}");
        };
        match place.as_str() {
            "thread" => drop(std::thread::spawn(panics)),
            "task" => drop(runtime.spawn(async move { panics() })),
            "blocking" => drop(runtime.spawn_blocking(panics)),
            "literal" => drop(std::thread::spawn(|| panic!("a literal"))),
            other => panic!("{other}"),
        }
        std::thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn fault_92_a_panic_anywhere_ends_the_process_with_a_message_that_shows_no_row() {
        for (place, shown) in [
            ("thread", "panics.rs:"),
            ("task", "panics.rs:"),
            ("blocking", "panics.rs:"),
            ("literal", ": a literal"),
        ] {
            let program = std::env::current_exe().unwrap();
            let ended = Command::new(program)
                .args(["--exact", "panics::tests::fault_92_process", "--nocapture"])
                .env(VARIABLE, place)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&ended.stderr).into_owned();
            let signal = std::os::unix::process::ExitStatusExt::signal(&ended.status);
            assert_eq!(signal, Some(6), "{place}: {said}");
            assert!(said.contains("error: the program has a bug"), "{said}");
            assert!(said.contains(shown) && said.contains("remedy: "), "{said}");
            assert!(!said.contains(ROW), "{said}");
        }
    }
}
