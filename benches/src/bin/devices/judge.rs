//! Whether every device holds what the server shows.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use benches::problem::Problem;
use client::connection::PATIENCE;
use client::{Connection, Device};
use tokio::time::{Instant, sleep};
use wire::{
    Conversation, ConversationId, Event, GetBalance, GetConversations, GetMessages, Kind, Limit, Message, Seq, Status,
    kind_of,
};

use crate::proxy::Proxy;
use crate::world::{COINS, Person, Sent, World};

/// A send whose function died is taken up by the sweep, which comes every minute, when it is a minute old; on a busy machine it
/// may need a second one.
const AT_REST_WITHIN: Duration = Duration::from_secs(240);
/// What a device holds of a conversation that it doesn't know.
static NOTHING: BTreeMap<Seq, Message> = BTreeMap::new();
/// How long a device listens before it is looked at.
const LISTENS: Duration = Duration::from_millis(50);
/// How long is waited before it is looked again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What the server shows somebody of a conversation.
struct Log {
    /// Up to here somebody's devices have it.
    delivered: Seq,
    messages: BTreeMap<Seq, Message>,
}

/// What the server shows somebody.
type Shown = HashMap<ConversationId, Log>;

/// Everybody's devices listen on, and then sync once more. Each time each holds what the server shows, every answered message is
/// there once, and the coins add up.
pub(crate) async fn agree(
    world: &World,
    people: &[Person],
    mut devices: Vec<(&Person, Device, Proxy)>,
    sent: &[Sent],
) -> Result<(), Problem> {
    come_to_agree(world, people, &mut devices, sent).await?;
    for (_, device, _) in &mut devices {
        device.loses_connection();
    }
    come_to_agree(world, people, &mut devices, sent).await
}

/// Looks until all is as it must be, or for too long. A function may be killed while it answers.
async fn come_to_agree(
    world: &World,
    people: &[Person],
    devices: &mut [(&Person, Device, Proxy)],
    sent: &[Sent],
) -> Result<(), Problem> {
    let until = Instant::now() + AT_REST_WITHIN;
    loop {
        match look(world, people, devices, sent).await {
            Err(_) if Instant::now() < until => sleep(LOOK_AGAIN).await,
            done => return done,
        }
    }
}

async fn look(
    world: &World,
    people: &[Person],
    devices: &mut [(&Person, Device, Proxy)],
    sent: &[Sent],
) -> Result<(), Problem> {
    let mut shown: HashMap<&str, Shown> = HashMap::new();
    let mut coins = 0;
    for person in people {
        let mut connection = Connection::open(&format!("ws://{}/ws", world.machine), &person.token, PATIENCE).await?;
        shown.insert(person.user.as_str(), shows(&mut connection).await?);
        let Event::Balance { balance } = connection.ask(&GetBalance {}).await? else { return Err("no balance".into()) };
        coins += balance.0;
        connection.close().await;
    }
    // Who writes pays one coin, and who is written to gets it: all of it is still there.
    let all = COINS * people.len() as u64;
    if coins != all {
        return Err(format!("{coins} coins of {all} are there").into());
    }
    for sent in sent {
        is_there_once(sent, &shown)?;
    }
    for (owner, device, _) in devices {
        // Who is connected gets the rest without asking.
        device.listens(Instant::now() + LISTENS).await?;
        holds(device, &shown[owner.user.as_str()]).map_err(|wrong| format!("{}: {wrong}", owner.user))?;
    }
    Ok(())
}

/// All that the server shows somebody.
async fn shows(connection: &mut Connection) -> Result<Shown, Problem> {
    let request = GetConversations { cursor: None, limit: Limit::default() };
    let Event::ConversationsList { conversations, .. } = connection.ask(&request).await? else {
        return Err("no list".into());
    };
    let mut shown = Shown::new();
    for Conversation { conversation_id: id, delivered_seq: delivered, .. } in conversations {
        let mut messages: BTreeMap<Seq, Message> = BTreeMap::new();
        loop {
            let after = messages.last_key_value().map_or(Seq(0), |(seq, _)| *seq);
            let conversation_id = id.clone();
            let request = GetMessages { conversation_id, before: None, after: Some(after), limit: Limit::default() };
            let Event::MessagesPage { messages: page, has_more, .. } = connection.ask(&request).await? else {
                return Err("no page".into());
            };
            messages.extend(page.into_iter().map(|message| (message.seq, without_status(message))));
            if !has_more {
                break;
            }
        }
        shown.insert(id, Log { delivered, messages });
    }
    Ok(shown)
}

/// How far a message has come goes on; a device that was away isn't told.
fn without_status(message: Message) -> Message {
    Message { status: Status::Sent, ..message }
}

/// An answered message is shown once, where it was answered to be, to its sender and to all others who stay.
fn is_there_once(sent: &Sent, shown: &HashMap<&str, Shown>) -> Result<(), Problem> {
    let Sent { to, content, message } = sent;
    let id = &message.conversation_id;
    let is_direct = kind_of(id) == Some(Kind::Direct);
    // Who has left a group since is shown nothing of it.
    let sender = [&message.sender_id].into_iter().filter(|sender| is_direct || to.contains(sender));
    for user in to.iter().chain(sender) {
        let log = shown[user.as_str()].get(id).map(|log| &log.messages);
        let log = log.ok_or_else(|| format!("{user} has no conversation {id}"))?;
        let places: Vec<Seq> = log.values().filter(|it| it.content == *content).map(|it| it.seq).collect();
        if places != [message.seq] || log[&message.seq] != without_status(message.clone()) {
            return Err(format!("{content:?}, answered as {}, is shown to {user} at {places:?}", message.seq).into());
        }
    }
    Ok(())
}

/// A device holds the end of each log, without a hole, as the server shows it; and all that none of its owner's devices was told to
/// have: what another one has is history.
fn holds(device: &Device, shown: &Shown) -> Result<(), Problem> {
    let strange = device.kept().conversations().find(|(id, _)| !shown.contains_key(*id));
    if let Some((id, _)) = strange {
        return Err(format!("{id} is held, and not shown").into());
    }
    for (id, Log { delivered, messages }) in shown {
        let held = device.kept().held(id).map(|held| (held.number, &held.messages)).unwrap_or((None, &NOTHING));
        let last = messages.last_key_value().map_or(Seq(0), |(last, _)| *last);
        let first = held.1.first_key_value().map_or(last.next(), |(first, _)| *first);
        if first > delivered.next() {
            return Err(format!("{id} is held from {first} on, and delivered up to {delivered}").into());
        }
        if held.0.unwrap_or(last) != last {
            return Err(format!("{id} is held up to {:?}, and shown up to {last}", held.0).into());
        }
        for (seq, shown) in messages.range(first..) {
            let held = held.1.get(seq).map(|message| without_status(message.clone()));
            if held.as_ref() != Some(shown) {
                return Err(format!("{id} {seq} is held as {held:?}, and shown as {shown:?}").into());
            }
        }
        if held.1.len() > messages.len() {
            return Err(format!("{id}: {} are held, and {} shown", held.1.len(), messages.len()).into());
        }
    }
    Ok(())
}
