//! argon2id, off the async threads and a few at a time.

use super::error::Error;
use crate::limits::{
    PASSWORD_HASH_KIB, PASSWORD_HASH_PASSES, PASSWORD_HASHES_AT_ONCE, PASSWORD_HASHES_WAITING_MAX,
};
use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher, PasswordVerifier, Version};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// One per process.
#[derive(Clone, Debug)]
pub(super) struct Passwords {
    /// Those at work and those in line.
    line: Arc<Semaphore>,
    at_work: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        let line = PASSWORD_HASHES_AT_ONCE + PASSWORD_HASHES_WAITING_MAX;
        Self {
            line: Arc::new(Semaphore::new(line)),
            at_work: Arc::new(Semaphore::new(PASSWORD_HASHES_AT_ONCE)),
        }
    }
}

impl Passwords {
    pub(super) async fn hash(&self, password: &str) -> Result<String, Error> {
        let password = password.to_owned();
        self.work(move || {
            let hash: PasswordHash =
                argon2().hash_password_with_salt(password.as_bytes(), &super::random::<16>())?;
            Ok(hash.to_string())
        })
        .await?
        .map_err(|error: argon2::password_hash::Error| Error::Hash(error.to_string()))
    }

    /// For no stored hash the same work is done, and the answer is no.
    pub(super) async fn matches(
        &self,
        password: &str,
        stored: Option<String>,
    ) -> Result<bool, Error> {
        let password = password.to_owned();
        self.work(move || {
            let stored = stored.unwrap_or_else(nobodys);
            PasswordHash::new(&stored)
                .is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let in_line = Arc::clone(&self.line).try_acquire_owned();
        let in_line = in_line.map_err(|_| Error::Busy)?;
        let at_work = Arc::clone(&self.at_work).acquire_owned().await;
        let at_work = at_work.map_err(|_| Error::Busy)?;
        // The places are given back when the work ends, also if nobody waits for it any more.
        let done = tokio::task::spawn_blocking(move || {
            let _places = (in_line, at_work);
            work()
        });
        done.await.map_err(|error| Error::Hash(error.to_string()))
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(PASSWORD_HASH_KIB, PASSWORD_HASH_PASSES, 1, None);
    let params = params.expect("the parameters are constants, and a test hashes with them");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// Costs what a user's hash costs, and is nobody's: 32 zeros are the hash of nothing known.
fn nobodys() -> String {
    format!(
        "$argon2id$v=19$m={PASSWORD_HASH_KIB},t={PASSWORD_HASH_PASSES},p=1$bm9ib2R5J3Mgc2FsdC4uLg${}",
        "A".repeat(43)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_password_matches_and_two_hashes_of_it_differ() {
        let passwords = Passwords::default();
        let one = passwords.hash("correct horse").await.unwrap();
        let two = passwords.hash("correct horse").await.unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, two);
        for (password, expect) in [
            ("correct horse", true),
            ("correct hors", false),
            ("", false),
        ] {
            let matches = passwords
                .matches(password, Some(one.clone()))
                .await
                .unwrap();
            assert_eq!(matches, expect, "{password}");
        }
        for stored in [None, Some(String::new()), Some("correct horse".to_owned())] {
            assert!(!passwords.matches("correct horse", stored).await.unwrap());
        }
    }

    #[test]
    fn nobodys_hash_can_be_worked_on() {
        let nobodys = nobodys();
        let hash = PasswordHash::new(&nobodys).unwrap();
        let error = argon2().verify_password(b"", &hash).unwrap_err();
        assert_eq!(error, argon2::password_hash::Error::PasswordInvalid);
    }

    #[tokio::test]
    async fn the_line_has_an_end_and_moves_on() {
        let passwords = Passwords::default();
        let _held = passwords.at_work.acquire_many(2).await.unwrap();
        let wait = |_| {
            let passwords = passwords.clone();
            tokio::spawn(async move { passwords.matches("x", None).await })
        };
        let most = PASSWORD_HASHES_AT_ONCE + PASSWORD_HASHES_WAITING_MAX;
        let waiting: Vec<_> = (0..most).map(wait).collect();
        while passwords.line.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = passwords.matches("x", None).await;
        assert!(matches!(refused, Err(Error::Busy)));
        // Whoever hangs up leaves the line.
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
        while passwords.line.available_permits() < most {
            tokio::task::yield_now().await;
        }
    }
}
