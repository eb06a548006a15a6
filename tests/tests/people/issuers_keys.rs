//! Tokens of an issuer that publishes its keys. Real sockets, so time isn't paused; what passes between two fetches is set.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::{join, join_all};
use jsonwebtoken::Algorithm;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256};
use ring::{hmac, rsa};
use serde_json::{Value, json};
use shared::config::{KeyConfig, TokenConfig};
use shared::limits::{JWKS_BYTES_MAX, JWKS_LIFE, JWKS_REFETCH_AFTER};
use tests::{Handshake, Setup, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::connecting::{hmac, signed};

/// Every key that an issuer may publish.
pub(crate) const KEYS: &str = include_str!("keys/jwks.json");
/// How much later or earlier than a limit a test looks: more than it takes itself.
const MARGIN_S: i64 = 15;
/// How long an issuer that sends byte by byte waits before each.
const BYTE_EVERY: std::time::Duration = std::time::Duration::from_millis(50);

/// What an issuer does when it is asked for its keys.
#[derive(Clone, PartialEq)]
pub(crate) enum Does {
    /// Sends them all, but that of this id.
    SendAllBut(&'static str),
    /// Sends this.
    Send(String),
    /// Sends them byte by byte.
    Trickle,
    /// Sends them, and spaces behind them until it is so many bytes.
    Pad(usize),
    /// Answers with an error.
    Fail,
    /// Waits until it does something else.
    Wait,
}

/// An issuer on loopback.
pub(crate) struct Issuer {
    does: watch::Sender<Does>,
    asked: watch::Sender<usize>,
}

impl Issuer {
    /// Says where it is, too.
    async fn opens() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/keys", listener.local_addr().expect("an address"));
        let issuer = Self { does: watch::Sender::new(Does::SendAllBut("")), asked: watch::Sender::new(0) };
        let (does, asked) = (issuer.does.clone(), issuer.asked.clone());
        #[expect(clippy::disallowed_methods, reason = "a server of the test's own; it ends with the test's runtime")]
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                asked.send_modify(|asked| *asked += 1);
                tokio::spawn(answer(socket, does.subscribe()));
            }
        });
        (issuer, url)
    }

    pub(crate) fn does(&self, what: Does) {
        self.does.send_replace(what);
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        *self.asked.borrow()
    }

    /// Waits until it was asked so often.
    async fn is_asked(&self, times: usize) {
        self.asked.subscribe().wait_for(|asked| *asked >= times).await.expect("it is there");
    }
}

/// Answers whoever asks on a socket, who may not wait for it.
async fn answer(mut socket: TcpStream, mut does: watch::Receiver<Does>) {
    let mut request = vec![0; 4_096];
    let _ = socket.read(&mut request).await;
    let does = does.wait_for(|does| *does != Does::Wait).await.expect("it is there").clone();
    let mut document = KEYS.to_owned();
    match &does {
        Does::SendAllBut(id) => {
            let mut keys: Value = serde_json::from_str(KEYS).expect("JSON");
            keys["keys"].as_array_mut().expect("keys").retain(|key| key["kid"] != *id);
            document = keys.to_string();
        }
        Does::Send(text) => document.clone_from(text),
        Does::Pad(bytes) => document += &" ".repeat(bytes - document.len()),
        Does::Trickle | Does::Fail | Does::Wait => {}
    }
    let status = if does == Does::Fail { "503 Busy" } else { "200 OK" };
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", document.len());
    let _ = socket.write_all(head.as_bytes()).await;
    let pieces = document.as_bytes().chunks(if does == Does::Trickle { 1 } else { usize::MAX });
    for piece in pieces {
        if does == Does::Trickle {
            tokio::time::sleep(BYTE_EVERY).await;
        }
        if socket.write_all(piece).await.is_err() {
            return;
        }
    }
}

/// A world whose tokens are signed by an issuer that publishes its keys.
pub(crate) async fn issuers_world(algorithms: Vec<Algorithm>) -> (World, Issuer) {
    let (issuer, url) = Issuer::opens().await;
    let tokens = TokenConfig { keys: KeyConfig::Jwks { url, algorithms }, issuer: None, audience: None };
    (World::with(Setup { tokens: Some(tokens), ..Setup::default() }).await, issuer)
}

/// What a PEM file holds.
fn pkcs8(pem: &str) -> Vec<u8> {
    let lines = pem.lines().filter(|line| !line.starts_with("-----"));
    STANDARD.decode(lines.collect::<String>()).expect("base64")
}

/// A handshake with a token that is signed by the issuer, with a key of this name.
pub(crate) fn handshake(world: &World, algorithm: Algorithm, key_id: &str) -> Handshake {
    handshake_with(world, algorithm, &json!({ "alg": algorithm, "kid": key_id }))
}

/// A handshake with a token that has this header and is signed by the issuer.
pub(crate) fn handshake_with(world: &World, algorithm: Algorithm, header: &Value) -> Handshake {
    let claims = json!({ "sub": "ann", "exp": world.now().ms / 1_000 + 86_400 });
    let random = SystemRandom::new();
    let token = signed(&claims, header, |message| match algorithm {
        Algorithm::RS256 => {
            let key = rsa::KeyPair::from_pkcs8(&pkcs8(include_str!("keys/rs256.pem"))).expect("a key");
            let mut signature = vec![0; key.public().modulus_len()];
            key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("is signed");
            signature
        }
        Algorithm::ES256 => {
            let key = pkcs8(include_str!("keys/es256.pem"));
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key, &random).expect("a key");
            key.sign(&random, message).expect("is signed").as_ref().to_vec()
        }
        _ => {
            let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8(include_str!("keys/eddsa.pem")));
            key.expect("a key").sign(message).as_ref().to_vec()
        }
    });
    Handshake::with_header(&token)
}

#[tokio::test]
async fn an_issuers_keys_are_fetched_once_and_taken_for_each_algorithm() {
    let all = [
        (Algorithm::RS256, "RS256"),
        (Algorithm::RS256, "RS256 with a zero before"),
        (Algorithm::ES256, "ES256"),
        (Algorithm::EdDSA, "EdDSA"),
    ];
    let (world, issuer) = issuers_world(all.iter().map(|(algorithm, _)| *algorithm).collect()).await;
    for (algorithm, key_id) in all {
        assert!(world.handshake(&handshake(&world, algorithm, key_id)).await.is_ok(), "{key_id}");
    }
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn an_issuers_keys_are_taken_only_for_what_they_are_and_what_is_configured() {
    let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
    let rs256 = handshake(&world, Algorithm::RS256, "RS256");
    assert_eq!(world.handshake(&rs256).await, Err(401), "not configured");
    for key_id in ["RS256", "EdDSA", "nobody's", "another's"] {
        let token = handshake(&world, Algorithm::ES256, key_id);
        assert_eq!(world.handshake(&token).await, Err(401), "with the key {key_id}");
    }
    // The public key is public: it must not become a secret.
    let claims = json!({ "sub": "ann", "exp": world.now().ms / 1_000 + 60 });
    let header = json!({ "alg": "HS256", "kid": "ES256" });
    let confused = signed(&claims, &header, hmac(hmac::HMAC_SHA256, KEYS.as_bytes()));
    assert_eq!(world.handshake(&Handshake::with_header(&confused)).await, Err(401));
    assert_eq!(issuer.asked(), 1, "unknown key ids don't make us ask again and again");
}

/// Seconds, as a clock is set.
pub(crate) fn s(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_secs()).expect("not long")
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_taken_when_keys_may_be_fetched_again_and_not_before() {
    let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
    let (token, unknown) =
        (handshake(&world, Algorithm::ES256, "ES256"), handshake(&world, Algorithm::ES256, "nobody's"));
    issuer.does(Does::SendAllBut("ES256"));
    assert_eq!(world.handshake(&token).await, Err(401), "not published");
    issuer.does(Does::SendAllBut(""));
    world.sets_clock(s(JWKS_REFETCH_AFTER) - MARGIN_S);
    assert_eq!(world.handshake(&token).await, Err(401));
    assert_eq!(issuer.asked(), 1, "not yet");
    world.sets_clock(MARGIN_S + 1);
    assert!(world.handshake(&token).await.is_ok());
    assert_eq!(issuer.asked(), 2, "the first token of the new key has them fetched");
    assert_eq!(world.handshake(&unknown).await, Err(401));
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn keys_are_fetched_again_from_the_middle_of_their_life() {
    let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
    let token = handshake(&world, Algorithm::ES256, "ES256");
    assert!(world.handshake(&token).await.is_ok());
    issuer.does(Does::SendAllBut("ES256"));
    world.sets_clock(s(JWKS_LIFE) / 2 - MARGIN_S);
    assert!(world.handshake(&token).await.is_ok());
    assert_eq!(issuer.asked(), 1, "they are kept");
    world.sets_clock(MARGIN_S + 1);
    assert_eq!(world.handshake(&token).await, Err(401), "it was withdrawn");
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn a_key_that_the_issuer_has_withdrawn_ends_with_the_life_of_the_keys() {
    let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
    let token = handshake(&world, Algorithm::ES256, "ES256");
    assert!(world.handshake(&token).await.is_ok());
    issuer.does(Does::Fail);
    for (later_s, answer, asked) in [
        (s(JWKS_LIFE) / 2 + 1, Ok(()), 2),
        (s(JWKS_REFETCH_AFTER) - MARGIN_S, Ok(()), 2),
        (MARGIN_S + 1, Ok(()), 3),
        // Fetching them again in vain has made them no younger.
        (s(JWKS_LIFE) / 2 - s(JWKS_REFETCH_AFTER) - MARGIN_S - 2, Ok(()), 4),
        (MARGIN_S + 1, Err(500), 4),
        (s(JWKS_REFETCH_AFTER), Err(500), 5),
    ] {
        world.sets_clock(later_s);
        for _ in 0..5 {
            assert_eq!(world.handshake(&token).await.map(drop), answer, "{later_s}");
        }
        assert_eq!(issuer.asked(), asked, "{later_s}");
    }
    issuer.does(Does::SendAllBut(""));
    world.sets_clock(s(JWKS_REFETCH_AFTER) + 1);
    assert!(world.handshake(&token).await.is_ok(), "the issuer is there again");
}

#[tokio::test]
async fn an_issuer_that_is_down_from_the_start_is_not_asked_again_and_again() {
    let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
    let token = handshake(&world, Algorithm::ES256, "ES256");
    issuer.does(Does::Fail);
    for (later_s, asked) in [(0, 1), (s(JWKS_REFETCH_AFTER) - MARGIN_S, 1), (MARGIN_S + 1, 2)] {
        world.sets_clock(later_s);
        for _ in 0..20 {
            assert_eq!(world.handshake(&token).await, Err(500), "nobody can be told who they are");
        }
        assert_eq!(issuer.asked(), asked, "{later_s}");
    }
    issuer.does(Does::SendAllBut(""));
    world.sets_clock(s(JWKS_REFETCH_AFTER) + 1);
    assert!(world.handshake(&token).await.is_ok());
    assert_eq!(issuer.asked(), 3);
}

#[tokio::test]
async fn old_keys_serve_where_the_issuer_fails_or_sends_its_keys_byte_by_byte() {
    for does in [Does::Fail, Does::Trickle] {
        let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
        let token = handshake(&world, Algorithm::ES256, "ES256");
        assert!(world.handshake(&token).await.is_ok());
        issuer.does(does);
        world.sets_clock(s(JWKS_LIFE) / 2 + 1);
        // The function would be killed by its time limit.
        assert!(world.handshake(&token).await.is_ok());
        assert_eq!(issuer.asked(), 2);
    }
}

#[tokio::test]
async fn who_needs_nothing_of_a_fetch_does_not_wait_for_it() {
    let (world, issuer) = issuers_world(vec![Algorithm::ES256, Algorithm::EdDSA]).await;
    let (old, new) = (handshake(&world, Algorithm::ES256, "ES256"), handshake(&world, Algorithm::EdDSA, "EdDSA"));
    issuer.does(Does::SendAllBut("EdDSA"));
    assert!(world.handshake(&old).await.is_ok());
    world.sets_clock(s(JWKS_LIFE) / 2 + 1);
    issuer.does(Does::Wait);
    let meanwhile = async {
        issuer.is_asked(2).await;
        assert!(world.handshake(&old).await.is_ok());
        issuer.does(Does::SendAllBut(""));
    };
    // The one that has the keys fetched waits until the other is done, and so does the one whose key they bring.
    let (handshakes, ()) = join(join_all([world.handshake(&old), world.handshake(&new)]), meanwhile).await;
    assert!(handshakes.iter().all(Result::is_ok), "{handshakes:?}");
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn all_who_wait_for_an_issuer_that_fails_are_refused_after_one_fetch() {
    let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
    let token = handshake(&world, Algorithm::ES256, "ES256");
    issuer.does(Does::Wait);
    let fails = async {
        issuer.is_asked(1).await;
        issuer.does(Does::Fail);
    };
    let (handshakes, ()) = join(join_all((0..5).map(|_| world.handshake(&token))), fails).await;
    assert!(handshakes.iter().all(|answer| *answer == Err(500)), "{handshakes:?}");
    assert_eq!(issuer.asked(), 1);
    issuer.does(Does::SendAllBut(""));
    world.sets_clock(s(JWKS_REFETCH_AFTER) + 1);
    assert!(world.handshake(&token).await.is_ok(), "it is asked again");
}

#[tokio::test]
async fn an_issuers_keys_are_read_up_to_a_limit() {
    for (bytes, answer) in [(JWKS_BYTES_MAX, Ok(())), (JWKS_BYTES_MAX + 1, Err(500))] {
        let (world, issuer) = issuers_world(vec![Algorithm::ES256]).await;
        issuer.does(Does::Pad(bytes));
        let handshake = handshake(&world, Algorithm::ES256, "ES256");
        assert_eq!(world.handshake(&handshake).await.map(drop), answer, "{bytes} bytes");
    }
}
