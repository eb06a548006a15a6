//! What people do with their devices, by a seed.

use std::collections::BTreeMap;
use std::time::Duration;

use benches::machine::{posts, token};
use benches::problem::Problem;
use client::{Device, Problem as Unanswered};
use fastrand::Rng;
use futures::future::join_all;
use serde_json::json;
use tokio::time::{Instant, sleep};
use wire::{
    ClientMessageId, Code, ConversationId, CreateGroup, Event, LeaveGroup, MarkDelivered, MarkRead, Name, SendMessage,
    UpdateGroup,
};

use crate::judge;
use crate::proxy::{Proxy, Weather};
use crate::world::{COINS, Person, Sent, World};

/// Who there is, and how many devices they have. The first makes a group of all; the last comes and goes.
const PEOPLE: [(&str, usize); 3] = [("ann", 2), ("bob", 2), ("carl", 1)];
/// How many things each device does.
const STEPS: usize = 16;
/// How long a device waits for an answer. Shorter than a function may take, so that it asks again while the first still runs.
const PATIENCE: Duration = Duration::from_secs(2);
/// By then everything that was asked has its final answer, however the weather was.
const ANSWERED_WITHIN: Duration = Duration::from_secs(150);

/// A device with its network.
struct Phone<'a> {
    world: &'a World,
    people: &'a [Person],
    group: &'a ConversationId,
    owner: &'a Person,
    number: usize,
    device: Device,
    network: Proxy,
    draws: Rng,
}

/// Lives one seed; what is wrong in the end.
pub(crate) async fn lives(world: &World, seed: u64) -> (u64, Result<(), Problem>) {
    (seed, live(world, seed).await)
}

async fn live(world: &World, seed: u64) -> Result<(), Problem> {
    let mut draws = Rng::with_seed(seed);
    let mut people = Vec::new();
    for (name, _) in PEOPLE {
        let user = format!("{name}-{seed}");
        let token = retried(async || token(&world.machine, &json!({ "sub": user })).await).await?;
        let path = format!("/api/wallets/{user}/credits");
        let credit = json!({ "amount": COINS, "idempotencyKey": "first" });
        retried(async || posts(&world.machine, &path, Some(&world.operator), &credit).await).await?;
        people.push(Person { user: user.parse()?, token });
    }
    let group = retried(async || makes_group(world, &people).await).await?;
    let mut phones = Vec::new();
    for (owner, (_, devices)) in people.iter().zip(PEOPLE) {
        for number in 0..devices {
            let network = Proxy::start(&world.machine).await?;
            let device = Device::new(&format!("ws://{}/ws", network.address), &owner.token).with_patience(PATIENCE);
            let draws = Rng::with_seed(draws.u64(..));
            phones.push(Phone { world, people: &people, group: &group, owner, number, device, network, draws });
        }
    }
    let sent: Result<Vec<Vec<Sent>>, Problem> =
        join_all(phones.iter_mut().map(Phone::is_used)).await.into_iter().collect();
    let sent: Vec<Sent> = sent?.into_iter().flatten().collect();
    world.has_sent(sent.len());
    let devices = phones.into_iter().map(|phone| (phone.owner, phone.device, phone.network));
    judge::agree(world, &people, devices.collect(), &sent).await
}

/// The first person makes a group of all; a repeat makes no other.
async fn makes_group(world: &World, people: &[Person]) -> Result<ConversationId, Problem> {
    let (first, others) = people.split_first().ok_or("nobody")?;
    let mut device = Device::new(&format!("ws://{}/ws", world.machine), &first.token).with_patience(PATIENCE);
    let request = CreateGroup {
        name: Name::try_from("Friends".to_owned())?,
        participants: others.iter().map(|person| person.user.clone()).collect(),
        client_request_id: "first".parse()?,
        avatar: None,
    };
    match device.persists(&request, Instant::now() + ANSWERED_WITHIN).await {
        Ok(Event::ConversationCreated { conversation, .. }) => Ok(conversation.conversation_id),
        Ok(other) => Err(format!("a group was answered with {other:?}").into()),
        Err(problem) => Err(format!("a group: {problem}").into()),
    }
}

/// What an operator asks is asked again while the machine is away.
async fn retried<T>(mut ask: impl AsyncFnMut() -> Result<T, Problem>) -> Result<T, Problem> {
    let until = Instant::now() + ANSWERED_WITHIN;
    loop {
        match ask().await {
            Err(_) if Instant::now() < until => sleep(PATIENCE / 4).await,
            done => return done,
        }
    }
}

impl Phone<'_> {
    /// Does what its seed says; the messages that it has sent.
    async fn is_used(&mut self) -> Result<Vec<Sent>, Problem> {
        let mut sent = Vec::new();
        for step in 0..STEPS {
            match self.draws.u8(0..21) {
                0..8 => sent.extend(self.sends(step).await?),
                8..12 => self.listens().await?,
                12..15 => self.marks().await?,
                15 => self.device.loses_connection(),
                16 => self.network.cuts(),
                17 => self.network.turns(Weather::Slow),
                18 => self.network.turns(Weather::Fair),
                19 => self.comes_or_goes(step).await?,
                _ => {
                    let weather = if self.draws.bool() { Weather::Deaf } else { Weather::Mute };
                    self.network.turns(weather);
                    self.listens().await?;
                    self.network.turns(Weather::Fair);
                }
            }
        }
        self.network.turns(Weather::Fair);
        Ok(sent)
    }

    /// Sends something to somebody or to the group, and asks until it is answered. Who is out of the group is refused.
    async fn sends(&mut self, step: usize) -> Result<Option<Sent>, Problem> {
        let others: Vec<&Person> = self.people.iter().filter(|person| person.user != self.owner.user).collect();
        let person = self.draws.choice(others).ok_or("nobody else")?.user.clone();
        let in_group = self.draws.u8(0..3) == 0;
        let content = format!("{} {} {step}", self.owner.user, self.number);
        let request = SendMessage {
            conversation_id: in_group.then(|| self.group.clone()),
            to: (!in_group).then(|| person.clone()),
            content: content.clone(),
            client_message_id: self.next_id()?,
            attachment: None,
            reply_to: None,
            max_price: None,
        };
        // Who comes and goes needn't be shown it.
        let stay = self.people.iter().take(PEOPLE.len() - 1).map(|person| person.user.clone());
        let to = if in_group { stay.collect() } else { vec![person] };
        match self.device.persists(&request, Instant::now() + ANSWERED_WITHIN).await {
            Ok(Event::MessageSent { message, .. }) => Ok(Some(Sent { to, content, message })),
            Ok(other) => Err(format!("{content}: answered with {other:?}").into()),
            Err(Unanswered::Refused(error)) if in_group && error.code == Code::NotAParticipant.into() => Ok(None),
            Err(problem) => Err(format!("{content}: {problem}").into()),
        }
    }

    /// The last person leaves the group, or the first adds or removes them.
    async fn comes_or_goes(&mut self, step: usize) -> Result<(), Problem> {
        let until = Instant::now() + ANSWERED_WITHIN;
        let (first, last) = (&self.people[0].user, &self.people[PEOPLE.len() - 1].user);
        let id = Some(format!("{} {step}", self.number).parse()?);
        let group = self.group.clone();
        let done = if self.owner.user == *first {
            let (add, remove) =
                if self.draws.bool() { (vec![last.clone()], vec![]) } else { (vec![], vec![last.clone()]) };
            let (name, avatar, admins) = (None, None, None);
            let request =
                UpdateGroup { conversation_id: group, name, avatar, add, remove, admins, client_request_id: id };
            self.device.persists(&request, until).await
        } else if self.owner.user == *last {
            self.device.persists(&LeaveGroup { conversation_id: group, client_request_id: id }, until).await
        } else {
            return Ok(());
        };
        match done {
            Ok(_) => Ok(()),
            // Who was removed is no member who could leave.
            Err(Unanswered::Refused(error)) if error.code == Code::NotAParticipant.into() => Ok(()),
            Err(problem) => Err(format!("coming or going: {problem}").into()),
        }
    }

    /// An id that sorts by time, or one that doesn't.
    fn next_id(&mut self) -> Result<ClientMessageId, Problem> {
        Ok(match self.draws.bool() {
            true => ClientMessageId::time_ordered(self.world.clock.now().ms, self.draws.u128(..)),
            false => format!("m{:016x}", self.draws.u64(..)).parse()?,
        })
    }

    /// Listens for a moment. Where the connection is lost the next step makes another.
    async fn listens(&mut self) -> Result<(), Problem> {
        let until = Instant::now() + Duration::from_millis(self.draws.u64(..300));
        lost_or(self.device.listens(until).await)
    }

    /// Says of one conversation how far it holds it.
    async fn marks(&mut self) -> Result<(), Problem> {
        let numbered = |(id, held): (_, &client::Held)| Some((Clone::clone(id), held.number?));
        let numbered: BTreeMap<_, _> = self.device.kept().conversations().filter_map(numbered).collect();
        let Some((conversation_id, seq)) = self.draws.choice(numbered) else { return Ok(()) };
        let (conversation_id, seq) = (Some(conversation_id), Some(seq));
        let marked = match self.draws.bool() {
            true => self.device.asks(&MarkRead { conversation_id, seq, marks: None }).await,
            false => self.device.asks(&MarkDelivered { conversation_id, seq, marks: None }).await,
        };
        match marked {
            // Its owner has left the group meanwhile.
            Err(Unanswered::Refused(error)) if error.code == Code::NotAParticipant.into() => Ok(()),
            marked => lost_or(marked.map(drop)),
        }
    }
}

/// What may succeed later is no fault: it is bad weather.
fn lost_or(done: Result<(), Unanswered>) -> Result<(), Problem> {
    match done {
        Err(problem) if !problem.is_retryable() => Err(problem.to_string().into()),
        _ => Ok(()),
    }
}
