//! The queues and their messages.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::template::QueueDefinition;

/// The queues of a deployment. Clones are the same queues.
#[derive(Clone)]
pub struct Queues(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Something was sent, returned or taken out.
    news: Notify,
}

struct State {
    queues: BTreeMap<String, Queue>,
    /// Names messages and receipts: each is used once.
    names: u64,
}

struct Queue {
    definition: QueueDefinition,
    messages: Vec<Message>,
}

/// A message as it is in its queue.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// What was sent.
    pub body: String,
    /// What was sent with it, in SQS's form.
    pub attributes: Map<String, Value>,
    /// How often it was received.
    pub receives: u32,
    /// What changes or deletes it, from its last receipt.
    pub handle: String,
    sent_at: Instant,
    visible_at: Instant,
}

impl fmt::Debug for Queues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Queues")
    }
}

impl Queues {
    /// Empty ones.
    #[must_use]
    pub fn new(definitions: Vec<QueueDefinition>) -> Self {
        let queue = |definition: QueueDefinition| (definition.name.clone(), Queue { definition, messages: Vec::new() });
        let state = State { queues: definitions.into_iter().map(queue).collect(), names: 0 };
        Self(Arc::new(Shared { state: Mutex::new(state), news: Notify::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message; gives its id. None: there is no such queue.
    pub fn send(&self, queue: &str, body: String, attributes: Map<String, Value>, delay: Duration) -> Option<String> {
        let mut state = self.state();
        let id = state.name("message");
        let now = Instant::now();
        let (receives, handle) = (0, String::new());
        let message =
            Message { id: id.clone(), body, attributes, receives, handle, sent_at: now, visible_at: now + delay };
        state.queues.get_mut(queue)?.messages.push(message);
        drop(state);
        self.0.news.notify_waiters();
        Some(id)
    }

    /// Takes up to so many messages that are visible, and hides them for the queue's visibility timeout. One that was
    /// received too often goes to the dead-letter queue instead.
    pub fn receive(&self, queue: &str, max: usize) -> Vec<Message> {
        let mut state = self.state();
        state.expire();
        let now = Instant::now();
        let mut received = Vec::new();
        let mut dead = Vec::new();
        let mut names = state.names;
        let Some(Queue { definition, messages }) = state.queues.get_mut(queue) else { return received };
        let redrive = definition.redrive.clone();
        let exhausted = |message: &Message| {
            message.visible_at <= now
                && redrive.as_ref().is_some_and(|redrive| message.receives >= redrive.receives_max)
        };
        dead.extend(messages.extract_if(.., |message| exhausted(message)));
        for message in messages.iter_mut().filter(|message| message.visible_at <= now).take(max) {
            names += 1;
            message.receives += 1;
            message.handle = format!("receipt-{names}");
            message.visible_at = now + definition.visibility;
            received.push(message.clone());
        }
        state.names = names;
        if let Some(there) = redrive.and_then(|redrive| state.queues.get_mut(&redrive.dead_letters)) {
            there.messages.extend(dead.into_iter().map(|message| Message { visible_at: now, receives: 0, ..message }));
        }
        drop(state);
        // Another may wait for the next to become visible, or for the queue to be empty.
        self.0.news.notify_waiters();
        received
    }

    /// Makes a message visible after this; says whether the receipt was its last one.
    pub fn change_visibility(&self, queue: &str, handle: &str, wait: Duration) -> bool {
        let mut state = self.state();
        let messages = state.queues.get_mut(queue).map(|queue| &mut queue.messages);
        let message = messages.into_iter().flatten().find(|message| message.handle == handle);
        let found = message.map(|message| message.visible_at = Instant::now() + wait).is_some();
        drop(state);
        self.0.news.notify_waiters();
        found
    }

    /// Deletes a message. One that has been received again since stays.
    pub fn delete(&self, queue: &str, handle: &str) {
        if let Some(queue) = self.state().queues.get_mut(queue) {
            queue.messages.retain(|message| message.handle != handle);
        }
        self.0.news.notify_waiters();
    }

    /// What is in a queue, hidden or not.
    #[must_use]
    pub fn messages(&self, queue: &str) -> Vec<Message> {
        self.state().queues.get(queue).map(|queue| queue.messages.clone()).unwrap_or_default()
    }

    /// Waits until a message can be received.
    pub async fn readable(&self, queue: &str) {
        loop {
            let news = self.0.news.notified();
            let next = self.messages(queue).iter().map(|message| message.visible_at).min();
            match next {
                Some(at) if at <= Instant::now() => return,
                Some(at) => drop(tokio::time::timeout_at(at, news).await),
                None => news.await,
            }
        }
    }

    /// Waits until nothing is in a queue any more.
    pub async fn emptied(&self, queue: &str) {
        loop {
            let news = self.0.news.notified();
            if self.messages(queue).is_empty() {
                return;
            }
            news.await;
        }
    }
}

impl State {
    fn name(&mut self, kind: &str) -> String {
        self.names += 1;
        format!("{kind}-{}", self.names)
    }

    /// Forgets what is older than its queue keeps messages.
    fn expire(&mut self) {
        for Queue { definition, messages } in self.queues.values_mut() {
            messages.retain(|message| message.sent_at.elapsed() < definition.retention);
        }
    }
}

/// The queues of the template.
#[cfg(test)]
pub(super) fn of_the_template() -> Queues {
    use crate::template::{DEPLOYED, Template};

    let template = Template::parse(DEPLOYED).expect("parses");
    Queues::new(template.deploy(&BTreeMap::new(), "http://127.0.0.1:1").expect("deploys").queues)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(queues: &Queues, body: &str) {
        queues.send("Queue", body.to_owned(), Map::new(), Duration::ZERO).expect("there is such a queue");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_received_is_hidden_until_its_time_is_over() {
        let queues = of_the_template();
        send(&queues, "a");
        let first = queues.receive("Queue", 10).remove(0);
        assert!(queues.receive("Queue", 10).is_empty(), "it is hidden");
        assert!(queues.change_visibility("Queue", &first.handle, Duration::from_secs(5)));
        queues.readable("Queue").await;
        let second = queues.receive("Queue", 10).remove(0);
        assert_eq!((second.receives, &second.id, &second.body), (2, &first.id, &first.body));
        queues.delete("Queue", &first.handle);
        assert_eq!(queues.messages("Queue").len(), 1, "an old receipt deletes nothing");
        queues.delete("Queue", &second.handle);
        queues.emptied("Queue").await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_deletes_is_dead_lettered_and_then_forgotten() {
        let queues = of_the_template();
        send(&queues, "a");
        for receives in 1..=shared::limits::DELIVER_RECEIVES_MAX {
            queues.readable("Queue").await;
            assert_eq!(queues.receive("Queue", 10)[0].receives, receives);
        }
        queues.readable("Queue").await;
        assert!(queues.receive("Queue", 10).is_empty());
        assert_eq!(queues.messages("DeadLetterQueue").len(), 1);
        tokio::time::sleep(Duration::from_secs(15 * 24 * 3_600)).await;
        assert!(queues.receive("DeadLetterQueue", 1).is_empty());
    }
}
