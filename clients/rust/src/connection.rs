//! One WebSocket: what is asked on it is answered, and the rest is heard.

use std::collections::VecDeque;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use wire::{Code, ErrorObject, Event, Open, Request, RequestId, SendMessage, ServerFrame};

use crate::problem::Problem;

/// How long a handshake or an answer may take, if nothing else is said: a little longer than the platform lets any function
/// take, 29 s.
pub const PATIENCE: Duration = Duration::from_secs(35);

/// A connection. One request is asked at a time.
#[derive(Debug)]
pub struct Connection {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// How many requests were asked: the number of one is its id.
    asked: u64,
    /// What has come and isn't taken yet, oldest first.
    heard: VecDeque<Event>,
    patience: Duration,
}

impl Connection {
    /// Connects to an address like `ws://127.0.0.1:3000/ws`, as whoever the token says. PATIENCE is how long this may take, and
    /// then each answer.
    ///
    /// # Errors
    /// [`Problem::NotLetIn`]; [`Problem::Lost`], also for what is no address or no token.
    pub async fn open(address: &str, token: &str, patience: Duration) -> Result<Self, Problem> {
        let mut request = address.into_client_request()?;
        let bearer = HeaderValue::try_from(format!("Bearer {token}"));
        request.headers_mut().insert(AUTHORIZATION, bearer.map_err(|error| Problem::Lost(error.to_string()))?);
        let opened = timeout(patience, connect_async(request)).await.map_err(|_| late())?;
        Ok(Self { socket: opened?.0, asked: 0, heard: VecDeque::new(), patience })
    }

    /// Asks, and waits for the final answer. What comes before it is kept for [`Self::hear`]: pages of `sync`, and pushes. Where it is
    /// asked too fast, and is no send, it waits as long as it is told, and asks again.
    ///
    /// # Errors
    /// Every one of [`Problem`]'s. After [`Problem::Lost`] the connection may still be good: then only one function has died.
    pub async fn ask<R: Request>(&mut self, request: &R) -> Result<Event, Problem> {
        let until = Instant::now() + self.patience;
        loop {
            let answer = self.ask_once(request, until).await;
            let pause = match &answer {
                Err(Problem::Refused(error)) if R::ACTION != SendMessage::ACTION => pause(error),
                _ => None,
            };
            match pause.filter(|pause| Instant::now() + *pause < until) {
                Some(pause) => sleep(pause).await,
                None => return answer,
            }
        }
    }

    async fn ask_once<R: Request>(&mut self, request: &R, until: Instant) -> Result<Event, Problem> {
        self.asked += 1;
        let id = RequestId::from(self.asked);
        let frame = Message::text(request.frame(&id));
        timeout_at(until, self.socket.send(frame)).await.map_err(|_| late())??;
        loop {
            match timeout_at(until, self.frame()).await.map_err(|_| late())?? {
                ServerFrame::Event { event, request_id } if request_id.as_ref() == Some(&id) && event.is_final() => {
                    return Ok(event);
                }
                ServerFrame::Refused { error, request_id, .. } if request_id.as_ref() == Some(&id) => {
                    return Err(Problem::Refused(error));
                }
                // One request is asked at a time, so it is this one's.
                ServerFrame::Platform { message, .. } => return Err(Problem::Lost(message)),
                ServerFrame::Event { event, request_id } if request_id.is_none() || !event.is_final() => {
                    self.heard.push_back(event);
                }
                // The late answer to what was taken for lost; what only a later version knows.
                ServerFrame::Event { .. } | ServerFrame::Refused { .. } | ServerFrame::Unknown { .. } => {}
            }
        }
    }

    /// What has come unasked, or before an answer: the next of it, as soon as it is there.
    ///
    /// # Errors
    /// [`Problem::Lost`], [`Problem::Strange`]; [`Problem::Refused`] where the server says why it ends the connection.
    pub async fn hear(&mut self) -> Result<Event, Problem> {
        loop {
            if let Some(event) = self.heard.pop_front() {
                return Ok(event);
            }
            match self.frame().await? {
                ServerFrame::Event { event, request_id: None } => return Ok(event),
                ServerFrame::Refused { error, request_id: None, .. } => return Err(Problem::Refused(error)),
                _ => {}
            }
        }
    }

    /// The next of what has come already, if any.
    pub fn heard(&mut self) -> Option<Event> {
        self.heard.pop_front()
    }

    /// Ends it, with a farewell.
    pub async fn close(mut self) {
        // It may be lost already.
        let _ = timeout(self.patience, self.socket.close(None)).await;
    }

    async fn frame(&mut self) -> Result<ServerFrame, Problem> {
        loop {
            match self.socket.next().await {
                Some(Ok(Message::Text(text))) => return Ok(ServerFrame::parse(&text)?),
                // Reading on answers it.
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(Problem::Lost("the connection has ended".to_owned())),
            }
        }
    }
}

fn late() -> Problem {
    Problem::Lost("nothing came in time".to_owned())
}

/// How long to wait before what was asked too fast is asked again.
fn pause(error: &ErrorObject) -> Option<Duration> {
    let told = error.details.as_ref().and_then(|details| details.retry_after_ms);
    told.filter(|_| error.code == Open::Known(Code::RateLimited)).map(Duration::from_millis)
}
