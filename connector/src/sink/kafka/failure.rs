//! What the Kafka client said went wrong, and which kind of [`LogError`] that is.

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::sink::log::{LogError, LogErrorKind};

/// An error of the Kafka client with the flags it carries.
#[derive(Debug, Clone)]
pub(in crate::sink) struct Failure {
    pub(in crate::sink) code: Code,
    pub(in crate::sink) message: String,
    pub(in crate::sink) fatal: bool,
    pub(in crate::sink) requires_abort: bool,
    /// The step goes on in the background and may be called again to wait for its end.
    pub(in crate::sink) resumable: bool,
}

impl Failure {
    pub(in crate::sink) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
            fatal: false,
            requires_abort: false,
            resumable: false,
        }
    }

    pub(in crate::sink) fn timed_out(message: impl Into<String>) -> Failure {
        Failure::new(Code::OperationTimedOut, message)
    }

    pub(in crate::sink) fn abortable(message: impl Into<String>) -> Failure {
        Failure {
            requires_abort: true,
            ..Failure::new(Code::State, message)
        }
    }

    /// Names the setting that was refused, never its value: that may be a password.
    pub(in crate::sink) fn from_client(error: &KafkaError) -> Failure {
        match error {
            KafkaError::ClientConfig(_, _, key, _) => Failure::new(
                Code::InvalidConfig,
                format!("the Kafka client does not accept the setting {key} or its value"),
            ),
            KafkaError::ClientCreation(message) => {
                Failure::new(Code::InvalidConfig, message.clone())
            }
            other => Failure::new(
                other.rdkafka_error_code().unwrap_or(Code::Fail),
                other.to_string(),
            ),
        }
    }

    pub(in crate::sink) fn kind(&self) -> LogErrorKind {
        match kind_of_cause(self.code) {
            LogErrorKind::Fenced => LogErrorKind::Fenced,
            LogErrorKind::Unreachable | LogErrorKind::Other if self.fatal => LogErrorKind::Fatal,
            LogErrorKind::Unreachable | LogErrorKind::Other if self.requires_abort => {
                LogErrorKind::Abortable
            }
            cause => cause,
        }
    }

    pub(in crate::sink) fn at(self, operation: &'static str) -> LogError {
        let kind = self.kind();
        LogError {
            operation,
            kind,
            message: format!("{} [{:?}]", self.message, self.code),
        }
    }
}

/// The kind that a code alone speaks for; a cause that an operator can mend goes before the client's flags.
pub(in crate::sink) fn kind_of_cause(code: Code) -> LogErrorKind {
    match code {
        Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::TransactionCoordinatorFenced => LogErrorKind::Fenced,
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState => LogErrorKind::Authentication,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed => LogErrorKind::Authorization,
        Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::UnknownTopicId => LogErrorKind::UnknownTopic,
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => {
            LogErrorKind::TooLarge
        }
        Code::InvalidRecord => LogErrorKind::InvalidRecord,
        Code::InvalidConfig
        | Code::InvalidTransactionTimeout
        | Code::InvalidArgument
        | Code::InvalidTopic
        | Code::InvalidPartitions
        | Code::PolicyViolation
        | Code::NotConfigured
        | Code::UnsupportedFeature => LogErrorKind::Configuration,
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        // A handshake may fail as the broker goes away, too.
        | Code::SSL
        | Code::OperationTimedOut
        | Code::TimedOutQueue
        | Code::MessageTimedOut
        | Code::RequestTimedOut
        | Code::WaitingForCoordinator
        | Code::CoordinatorNotAvailable
        | Code::CoordinatorLoadInProgress
        | Code::NotCoordinator
        | Code::LeaderNotAvailable
        | Code::NotLeaderForPartition
        | Code::BrokerNotAvailable
        | Code::ReplicaNotAvailable
        | Code::NotController
        // Said of a count that the brokers have, while they are starting or going away.
        | Code::InvalidReplicationFactor
        | Code::FencedLeaderEpoch
        | Code::NetworkException
        | Code::NotEnoughReplicas
        | Code::NotEnoughReplicasAfterAppend
        | Code::UnknownBroker
        | Code::BrokerDestroy
        | Code::DestroyBroker => LogErrorKind::Unreachable,
        _ => LogErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_that_can_be_mended_goes_before_the_flags_of_the_client() {
        let abortable = |code| {
            Failure {
                requires_abort: true,
                ..Failure::new(code, "")
            }
            .kind()
        };
        let fatal = |code| {
            Failure {
                fatal: true,
                ..Failure::new(code, "")
            }
            .kind()
        };
        assert_eq!(
            abortable(Code::TopicAuthorizationFailed),
            LogErrorKind::Authorization
        );
        assert_eq!(abortable(Code::OperationTimedOut), LogErrorKind::Abortable);
        assert_eq!(abortable(Code::State), LogErrorKind::Abortable);
        assert_eq!(fatal(Code::Fenced), LogErrorKind::Fenced);
        let starting = kind_of_cause(Code::InvalidReplicationFactor);
        assert_eq!(starting, LogErrorKind::Unreachable);
        assert_eq!(fatal(Code::InvalidTransactionalState), LogErrorKind::Fatal);
    }

    #[test]
    fn a_refused_setting_is_named_without_its_value() {
        let mut config = rdkafka::ClientConfig::new();
        config.set("socket.nagle.disable", "hunter2");
        let error = config.create_native_config().err().unwrap();
        let said = Failure::from_client(&error)
            .at("init_transactions")
            .to_string();
        assert!(
            said.contains("socket.nagle.disable") && !said.contains("hunter2"),
            "{said}"
        );
    }
}
