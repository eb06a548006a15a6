//! What each single write may do. Checked at the write itself, so a violation is found where it happens.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use shared::chat::invariants::{self, Broken, Holds, LISTED, Paid, holds};
use shared::limits::DELETE_AFTER;
use shared::store::accounts::{Account, OpenSend};
use shared::store::blocks::Block;
use shared::store::conversations::Meta;
use shared::store::inbox::Inbox;
use shared::store::log::LogItem;
use shared::store::members::Member;
use shared::store::presence::IS_CONNECTED;
use shared::store::presence::Presence;
use shared::store::profiles::Profile;
use shared::store::receipts::Receipt;
use shared::store::scan::Line;
use shared::store::table::Key;
use shared::store::tails::Tail;
use shared::store::work::{LIST, Listing, UNLIST};
use tokio::time::Instant;
use wire::{ConversationId, Kind, SendId, Seq, Time, TransactionKind, UserId, kind_of as kind_of_conversation};

use super::past::{Past, Place, number, text};
use super::plan::Plan;
use super::scenes::WRONG_CLOCK_S;
use crate::engine::plain_map;
use crate::images;
use crate::network::{Operation, kind_of};

/// Who decides so much before or after the last has a clock that was set.
const CLOCK_SET_MS: i64 = WRONG_CLOCK_S * 1_000 / 2;

/// How far two functions' clocks may differ, and a call's way.
const SKEW_MAX: Duration = Duration::from_secs(20);

/// The entries of a map attribute.
fn map(item: &Value, name: &str) -> Map<String, Value> {
    item[name]["M"].as_object().cloned().unwrap_or_default()
}

/// The members of a set of texts.
fn set(item: &Value, name: &str) -> Vec<String> {
    let members = item[name]["SS"].as_array().into_iter().flatten();
    members.filter_map(|member| member.as_str().map(str::to_owned)).collect()
}

/// When the first of a PRESENCE's connections ends.
pub(super) fn first_end(presence: &Value, counts: impl Fn(&str) -> bool) -> Option<i64> {
    let connections = map(presence, "connections").into_iter().filter(|(id, _)| counts(id));
    connections.map(|(_, connection)| number(&connection["M"], "expires_at")).min()
}

/// Whether an item is in the index.
fn is_listed(item: &Value) -> bool {
    !item["work_pk"].is_null()
}

/// What was seen of the writes so far, where the items themselves don't tell.
pub(super) struct Seen {
    /// The slot of each send.
    slots: HashMap<SendId, (ConversationId, Seq)>,
    /// When each account's sends were decided, in the order of the decisions.
    claims: BTreeMap<String, Vec<i64>>,
    /// Messages per second of one user in the long run, and at once.
    rate: (u64, u64),
    /// The objects of the archive that were written.
    pub(super) objects: BTreeSet<String>,
    /// When each number of a conversation has moved to the archive.
    moved: BTreeMap<(String, i64), Instant>,
    /// By which requests each membership was changed.
    changed_by: BTreeSet<(String, String, String)>,
}

impl Seen {
    pub(super) fn new(plan: &Plan) -> Self {
        let (slots, claims, objects, moved, changed_by) = Default::default();
        Self { slots, claims, rate: plan.rate, objects, moved, changed_by }
    }

    /// An item is deleted: a slot that moved to the archive long enough ago.
    pub(super) fn may_delete(&self, past: &Past, (pk, sk): &Place) -> Holds {
        if sk.starts_with("MEMBER#") || sk.starts_with("INBOX#g_") {
            return Self::may_go(past, pk, sk);
        }
        let seq = sk.strip_prefix("MSG#").and_then(|digits| digits.parse().ok());
        let seq = seq.ok_or_else(|| Broken { rule: "only messages are deleted", seen: format!("{pk} {sk}") })?;
        // Who deletes again what has gone does no harm.
        let gone = past.now(pk, sk).is_none();
        let moved = self.moved.get(&(pk.clone(), seq));
        let old = moved.is_some_and(|moved| moved.elapsed() + SKEW_MAX >= DELETE_AFTER);
        holds("what is deleted has moved long ago", gone || old, || format!("{pk} {sk} moved {moved:?}"))
    }

    /// A membership is deleted, or its inbox: it is an old tombstone's, or of a group that was given up.
    fn may_go(past: &Past, pk: &str, sk: &str) -> Holds {
        let (id, user) = match sk.strip_prefix("INBOX#") {
            Some(id) => (format!("CONV#{id}"), pk.trim_start_matches("USER#")),
            None => (pk.to_owned(), sk.trim_start_matches("MEMBER#")),
        };
        let gone = past.now(&id, "META").is_some_and(|meta| meta["gone"]["BOOL"] == true);
        let member = past.now(&id, &format!("MEMBER#{user}"));
        let left = member.is_none_or(|member| !member["left_at"].is_null());
        holds("only tombstones are deleted", gone || left, || format!("{pk} {sk}: {member:?}"))
    }

    /// A send was decided at a moment: since any other of the account there were no more than the rate allows. When the
    /// clock was set back, it is as if a whole burst had just been sent.
    fn claims(&mut self, pk: &str, at: i64) -> Holds {
        let (per_second, burst) = self.rate;
        let claims = self.claims.entry(pk.to_owned()).or_default();
        let set_by_ms = claims.last().map_or(0, |last| at - last);
        let (was_set, was_set_back) = (set_by_ms.abs() > CLOCK_SET_MS, set_by_ms < -CLOCK_SET_MS);
        if was_set {
            claims.clear();
        }
        claims.extend(std::iter::repeat_n(at, if was_set_back { burst as usize } else { 1 }));
        let interval = 1_000 / per_second.cast_signed();
        for (n, first) in claims.iter().rev().enumerate() {
            let slow = (n as i64 + 1 - burst.cast_signed()) * interval <= at - first;
            holds("nobody sends faster than the rate", slow, || format!("{pk}: {} since {first} at {at}", n + 1))?;
        }
        Ok(())
    }
}

/// Who wrote, and how.
pub(super) struct By<'a> {
    pub(super) operation: &'a Operation,
    pub(super) trace_id: &'a str,
    /// How many writes there were when the function began.
    pub(super) began_at: u64,
    /// Between how many writes and how many it has read MEMBERs.
    pub(super) members_read: &'a [RangeInclusive<u64>],
}

/// One write that was made: how, what was there, what is there now.
pub(super) struct Write<'a> {
    pub(super) past: &'a Past,
    pub(super) seen: &'a mut Seen,
    pub(super) by: &'a By<'a>,
    pub(super) before: Option<&'a Value>,
    pub(super) after: &'a Value,
}

/// What a write has made of an item, without `DynamoDB`'s types.
struct Image {
    before: Option<Value>,
    after: Value,
}

impl Image {
    /// The item as the store reads it: as it was, and as it is.
    fn both<T: DeserializeOwned>(&self) -> Result<(Option<T>, T), Broken> {
        Ok((self.before.as_ref().map(images::read).transpose()?, images::read(&self.after)?))
    }
}

impl Write<'_> {
    /// Checks it.
    pub(super) fn check(&mut self) -> Holds {
        let (pk, sk) = (text(self.after, "pk").to_owned(), text(self.after, "sk").to_owned());
        let replaced = self.by.operation.is_put() && self.before.is_some();
        holds("nothing is replaced", !replaced, || format!("{pk} {sk} was there: {:?}", self.before))?;
        if self.past.is_planted(self.after) {
            // Whether it stays as it is, is seen in the end.
            return Ok(());
        }
        let image = Image { before: self.before.map(plain_map), after: plain_map(self.after) };
        let checked = match kind_of(&sk) {
            "ACCOUNT" => self.account(&pk, &image),
            "RECEIPT" => self.receipt(&image),
            "ENTRY" => self.entry(&pk, &sk, &image),
            "INBOX" => self.inbox(&image),
            "MSG" => self.slot(&pk, &sk, &image),
            "META" => self.meta(&pk, &image),
            "MEMBER" => self.member(&pk, &image),
            "TAIL" => self.tail(&pk, &image),
            "SEGMENT" => self.segment(&image),
            "PRESENCE" => self.presence(&image),
            "PROFILE" => self.profile(&image),
            "BLOCK" => Self::block(&image),
            _ => Ok(()),
        };
        checked.map_err(|broken| Broken { seen: format!("{pk} {sk}: {}", broken.seen), ..broken })
    }

    /// An item as the store reads it.
    fn now<T: DeserializeOwned>(&self, key: Key) -> Result<Option<T>, Broken> {
        self.past.now(&key.pk, &key.sk).map(|item| images::read(&plain_map(item))).transpose()
    }

    /// A write that only takes an item out of the index, or puts it elsewhere, may find that another did: of two sweeps in one
    /// millisecond both have seen it where it was, and say the same place.
    fn only_moves_in_the_index(&self) -> bool {
        [LIST, UNLIST].contains(&self.by.operation.update())
    }

    fn presence(&self, image: &Image) -> Holds {
        let context = || format!("{:?} became {}", self.before, self.after);
        let user = images::owner(&image.after)?;
        let (before, after) = image.both::<Presence>()?;
        let listing = images::listing(&image.after);
        let unlisted = invariants::presence_unlisted(&user, &after, listing.as_ref(), Time::default());
        holds(LISTED, unlisted.is_none(), context)?;
        invariants::connections_fit(&after)?;
        let takes = self.by.operation.is_on(&IS_CONNECTED);
        let took = before.is_some_and(|before| before.connections.len() > after.connections.len());
        holds("who is taken out was there", took || !takes, context)?;
        let listed = first_end(self.after, |_| true).filter(|_| self.by.operation.update() == LIST);
        let Some(first_end) = listed else { return Ok(()) };
        let stands = listing == Some(Listing::online(Time { ms: first_end }, &user));
        holds("who is online is looked at when their first connection ends", stands, context)
    }

    /// Of a profile changes what the write names, and nothing else.
    fn profile(&self, image: &Image) -> Holds {
        let (before, after) = image.both::<Profile>()?;
        let before = before.unwrap_or_default();
        let update = self.by.operation.update();
        let stays = |part: &str, same: bool| same || update.contains(part);
        let right = stays("#price", before.price == after.price)
            && stays("#name", before.name == after.name)
            && stays("#avatar", before.avatar == after.avatar);
        holds("of a profile changes what is said to", right, || format!("{before:?} became {after:?}"))
    }

    /// A block is changed by who has seen it as it was.
    fn block(image: &Image) -> Holds {
        let (before, after) = image.both::<Block>()?;
        let counted = after.version == before.map_or(0, |before| before.version) + 1;
        holds("each change of a block is counted", counted, || format!("{before:?} became {after:?}"))
    }

    /// No block that stood when the function began, and so when it looked, stands now.
    fn is_not_blocked(&self, user: &UserId, send: &OpenSend) -> Holds {
        let meta = self.now::<Meta>(Key::meta(&send.conversation))?;
        let side = meta.and_then(|meta| meta.who.side_of(user, None));
        let mut blocks = side.map(|side| side.blocks_between(user)).unwrap_or_default().into_iter();
        let stood = blocks.find(|block| self.stood(block));
        holds("who is blocked decides to send nothing", stood.is_none(), || format!("{stood:?}: {send:?}"))
    }

    /// Whether a block stood when the function began, and so when it asked, and stands now.
    fn stood(&self, Key { pk, sk }: &Key) -> bool {
        let place = (pk.clone(), sk.clone());
        let [asked, now] = [self.by.began_at, self.past.version()].map(|version| self.past.at(&place, version));
        asked.is_some_and(|block| block["blocked"]["BOOL"] == true) && asked == now
    }

    /// Messages move to the archive in order, when they have ended and their object is written; never the highest. Who has
    /// something to do is listed.
    fn meta(&mut self, pk: &str, image: &Image) -> Holds {
        let context = || format!("{:?} became {}", self.before, self.after);
        let id = images::conversation(&image.after)?;
        let (before, after) = image.both::<Meta>()?;
        let listing = images::listing(&image.after);
        invariants::pair_has_one_conversation(&id, &after)?;
        let tail = Seq(self.past.tail_at(pk, self.past.version()));
        invariants::numbers_have_moved_in_order(&after, tail)?;
        let unlisted = invariants::meta_unlisted(&id, &after, listing.as_ref(), Time::default());
        holds(LISTED, unlisted.is_none(), context)?;
        let Some(before) = before else { return Ok(()) };
        invariants::meta_moves(&before, &after)?;
        let (from, to) = (before.first_seq, after.first_seq);
        let moves = self.by.operation.update().contains("#first_seq");
        holds("a write changes something", from < to || !moves, context)?;
        holds(LISTED, listing.is_some() || after.deleted_below == to, context)?;
        if from == to {
            return Ok(());
        }
        let object = self.past.now(pk, &Key::segment(&id, from).sk);
        let object = object.filter(|it| u64::try_from(number(it, "last") + 1) == Ok(to.0));
        let written = object.is_some_and(|segment| self.seen.objects.contains(text(segment, "object")));
        holds("what moves is in the archive", written, context)?;
        for seq in (from.0..to.0).map(Seq) {
            let slot = self.now::<LogItem>(Key::log(&id, seq))?;
            let receipt = slot.map(|slot| Key::receipt(&slot.sender, &slot.client_message_id));
            let ended = receipt.is_some_and(|key| self.past.now(&key.pk, &key.sk).is_some());
            holds("what moves has ended", ended, || seq.to_string())?;
            self.seen.moved.insert((pk.to_owned(), seq.0.cast_signed()), Instant::now());
        }
        Ok(())
    }

    /// A membership changes as it may; who comes sees nothing of what was said before that was asked for; a request changes it once.
    fn member(&mut self, pk: &str, image: &Image) -> Holds {
        let context = || format!("{:?} became {}", self.before, self.after);
        let (before, after) = image.both::<Member>()?;
        invariants::membership_moves(before.as_ref(), &after, Seq(self.past.tail_at(pk, self.past.version())))?;
        let user: UserId = images::read(&images::name(&image.after).into())?;
        let was_in = before.as_ref().is_some_and(Member::is_in);
        if after.is_in() && !was_in {
            let then = Seq(self.past.tail_at(pk, self.by.began_at));
            holds("who comes sees what is said from then on", after.first_seq > then, context)?;
            // Who goes on with a group that an earlier attempt has made asks nobody again.
            let meta = (pk.to_owned(), "META".to_owned());
            let was_whole = self.past.at(&meta, self.by.began_at).is_some_and(|meta| meta["whole"]["BOOL"] == true);
            let made = self.past.now(&meta.0, &meta.1).is_some_and(|meta| text(meta, "creation") == self.by.trace_id);
            let stood = (was_whole || made) && self.stood(&Key::block(&user, &after.by));
            holds("who is blocked adds nobody", !stood, context)?;
        }
        if before.as_ref().is_some_and(|before| !before.is_settled()) && after.is_settled() {
            let inbox = self.now::<Inbox>(Key::inbox(&user, &images::conversation(&image.after)?))?;
            let told = inbox.and_then(|inbox| inbox.joined()).map_or(0, |joined| joined.version);
            holds("what follows from a change is done before it is unlisted", told >= after.version, context)?;
        }
        let changes = |before: &Member| (before.is_in(), before.role) != (after.is_in(), after.role);
        let changed = before.as_ref().map_or(after.is_in(), changes);
        let promoted = before.as_ref().is_some_and(|before| before.requests == after.requests);
        holds(LISTED, !changed || promoted || after.listed.is_some(), context)?;
        let Some(last) = after.requests.last().filter(|_| changed && !promoted) else { return Ok(()) };
        let once = self.seen.changed_by.insert((pk.to_owned(), text(self.after, "sk").to_owned(), last.id.clone()));
        holds("a request changes a membership once", once, context)
    }

    /// A tail moves only forward, and never beyond the log.
    fn tail(&self, pk: &str, image: &Image) -> Holds {
        let (before, after) = image.both::<Tail>()?;
        let forward = before.is_none_or(|before| before.last_seq < after.last_seq);
        let there = after.last_seq <= Seq(self.past.tail_at(pk, self.past.version()));
        holds("a tail moves forward", forward && there, || format!("{:?} became {}", self.before, self.after))
    }

    /// A segment begins where the last one ended, and stays as it was decided.
    fn segment(&self, image: &Image) -> Holds {
        self.unchanged()?;
        let next = self.now::<Meta>(Key::meta(&images::conversation(&image.after)?))?;
        let next = next.map_or(Seq(1), |meta| meta.first_seq);
        invariants::segment_follows(&images::segment(&image.after)?, next, Seq(u64::MAX))
    }

    fn unchanged(&self) -> Holds {
        let same = self.before.is_none_or(|before| before == self.after);
        holds("what is written once stays", same, || format!("{:?} became {}", self.before, self.after))
    }

    /// A slot follows the one before it, and holds an open send that has no other.
    fn slot(&mut self, pk: &str, sk: &str, image: &Image) -> Holds {
        self.unchanged()?;
        if self.before.is_some() {
            return Ok(());
        }
        let (id, seq) = (images::conversation(&image.after)?, images::number(&image.after)?);
        let item: LogItem = images::read(&image.after)?;
        let before = Seq(self.past.tail_at(pk, self.past.version() - 1));
        invariants::log_has_no_hole(before.next(), seq)?;
        let again = self.past.was_deleted(&(pk.to_owned(), sk.to_owned()));
        holds("an archived number isn't taken again", !again, || self.after.to_string())?;
        invariants::slot_has_its_id(&item)?;
        if let Some(meta) = self.now::<Meta>(Key::meta(&id))? {
            invariants::writer_is_in(&meta, &item)?;
        }
        let account = self.now::<Account>(Key::account(&item.sender))?;
        invariants::slot_has_ended_or_is_open(&item, account.as_ref(), None)?;
        invariants::send_has_one_slot(&mut self.seen.slots, item.sid, (id, seq))
    }

    /// Numbers move only forward, in order, and never beyond the log.
    fn inbox(&self, image: &Image) -> Holds {
        let user = images::owner(&image.after)?;
        let id: ConversationId = images::read(&Value::from(images::name(&image.after)))?;
        let (before, after) = image.both::<Inbox>()?;
        let log = Key::meta(&id).pk;
        invariants::horizons_are_in_order(&after, Seq(self.past.tail_at(&log, self.past.version())))?;
        if let Some(before) = before {
            invariants::horizons_move_forward(&before, &after)?;
            let changed = self.before != Some(self.after) || self.only_moves_in_the_index();
            holds("a write changes something", changed, || self.after.to_string())?;
            let kept = before.muted == after.muted || self.by.operation.update().contains("#muted");
            holds("what is muted stays so", kept, || format!("{before:?} became {after:?}"))?;
            self.is_marked_by_a_member(&user, &id, &before, &after)?;
        }
        if let Some(meta) = self.now::<Meta>(Key::meta(&id))? {
            invariants::inbox_names_the_other(&user, &after, &meta)?;
        }
        // What one has written oneself waits for nobody, and moves `delivered` with it.
        let listing = images::listing(&image.after);
        let unlisted = invariants::inbox_unlisted(&user, &id, &after, listing.as_ref());
        holds(LISTED, unlisted.is_none(), || self.after.to_string())
    }

    /// A member's horizons move by marks of the membership that the inbox is of, as it was read before.
    fn is_marked_by_a_member(&self, user: &UserId, id: &ConversationId, before: &Inbox, after: &Inbox) -> Holds {
        let horizons = |inbox: &Inbox| (inbox.delivered_seq, inbox.read_seq);
        let (Some(was), Some(joined)) = (before.joined(), after.joined()) else { return Ok(()) };
        if horizons(before) == horizons(after) || was.first_seq != joined.first_seq {
            return Ok(());
        }
        let context = || format!("{before:?} became {after:?}");
        let read = self.was_read_as_in(id, user, |first_seq| first_seq == joined.first_seq);
        holds("a mark is of the membership that was read", read, context)
    }

    /// Whether the function has read that somebody is in a group, by such a membership.
    fn was_read_as_in(&self, id: &ConversationId, user: &UserId, is_right: impl Fn(Seq) -> bool) -> bool {
        let place = (Key::meta(id).pk, format!("MEMBER#{user}"));
        self.by.members_read.iter().cloned().flatten().any(|version| {
            let member = self.past.at(&place, version).filter(|member| member["left_at"].is_null());
            member.is_some_and(|member| is_right(Seq(number(member, "first_seq").cast_unsigned())))
        })
    }

    /// The end of a send: its slot is there, and all effects are.
    fn receipt(&self, image: &Image) -> Holds {
        self.unchanged()?;
        let user = images::owner(&image.after)?;
        let receipt: Receipt = images::read(&image.after)?;
        let id = &receipt.conversation;
        let item = self.now::<LogItem>(Key::log(id, receipt.seq))?;
        invariants::receipt_names_its_slot(&user, &receipt, item.as_ref().map(|item| &item.sid))?;
        let Some(item) = item else { return Ok(()) };
        invariants::receipt_agrees(id, receipt.seq, &item, &receipt)?;
        let meta = self.now::<Meta>(Key::meta(id))?;
        let meta = meta.ok_or_else(|| Broken { rule: "an item's conversation is there", seen: id.to_string() })?;
        let receiver = meta.who.paid_by(&user);
        let charge = self.line(&user, "charge", &item)?;
        let house = charge.as_ref().and_then(|charge| charge.entry.split.as_ref()?.house.as_ref());
        let line = |user: Option<&UserId>, kind| user.map_or(Ok(None), |user| self.line(user, kind, &item));
        let (earning, share) = (line(receiver.as_ref(), "earn")?, line(house, "share")?);
        let [charge, earning, share] = [&charge, &earning, &share].map(|line| line.as_ref().map(|line| &line.entry));
        invariants::coins_have_arrived(&item, Paid { charge, earning, share })?;
        if item.void {
            return Ok(());
        }
        let is_listed = self.past.now(&Key::meta(id).pk, "META").is_some_and(is_listed);
        holds(LISTED, is_listed, || format!("{meta:?} with {receipt:?}"))?;
        for member in meta.who.named().into_iter().flatten() {
            invariants::inbox_knows(self.now::<Inbox>(Key::inbox(member, id))?.as_ref(), receipt.seq)?;
        }
        if meta.who.named().is_some() {
            return Ok(());
        }
        let tail = self.now::<Tail>(Key::tail(id))?.unwrap_or_default();
        invariants::tail_knows(tail.last_seq, receipt.seq)
    }

    /// A send's line in a user's ledger.
    fn line(&self, user: &UserId, kind: &str, item: &LogItem) -> Result<Option<Line>, Broken> {
        let key = Key::entry(user, item.created_at, &format!("{kind}#{}", item.sid.as_str()));
        self.past.now(&key.pk, &key.sk).map(|item| images::line(&plain_map(item))).transpose()
    }

    /// A line of a ledger comes from a top-up or an open send, and is unlisted only when it was folded.
    fn entry(&self, pk: &str, sk: &str, image: &Image) -> Holds {
        let user = images::owner(&image.after)?;
        let line = images::line(&image.after)?;
        invariants::line_has_its_sign(&line.entry)?;
        invariants::charge_is_taken_at_once(&line)?;
        holds(LISTED, invariants::line_misplaced(&user, &line).is_none(), || self.after.to_string())?;
        if let Some(before) = &image.before {
            let before = images::line(before)?;
            invariants::line_stays(&before, &line)?;
            let folded = line.listing.is_none() && self.settling(pk).iter().any(|taken| taken == sk);
            let right = before.listing == line.listing || folded;
            return holds("an entry is unlisted once folded", right, || self.after.to_string());
        }
        let id = line.id();
        let of_this_id =
            self.past.partition(pk, "ENTRY#").filter(|entry| text(entry, "sk").ends_with(&format!("#{id}")));
        invariants::line_is_there_once(&line, of_this_id.count())?;
        let (kind, of) = id.split_once('#').unwrap_or_default();
        let amount = line.entry.amount;
        if kind == "topup" {
            let topup = self.past.now(pk, &format!("TOPUP#{of}"));
            let fixed = topup.map(|topup| images::read(&plain_map(topup)["amount"])).transpose()?;
            invariants::topup_is_fixed(&line.entry, fixed)?;
        } else {
            let sender = if kind == "charge" { Some(&user) } else { line.entry.counterparty.as_ref() };
            let account = sender.map_or(Ok(None), |sender| self.now::<Account>(Key::account(sender)))?;
            let open = account.as_ref().and_then(|account| account.open.iter().find(|(id, _)| id.as_str() == of));
            let right = open.is_some_and(|(_, send)| {
                let (price, earning) = (send.price.0.cast_signed(), send.earning.0.cast_signed());
                match kind {
                    "charge" => amount == -price,
                    "earn" => amount == earning,
                    "share" => amount == price - earning,
                    _ => false,
                }
            });
            holds("an entry has a reason", right, || self.after.to_string())?;
        }
        let waits = line.entry.kind != TransactionKind::Charge;
        holds(LISTED, line.listing.is_some() == waits, || self.after.to_string())
    }

    /// The entries that a user's half-done folding took.
    fn settling(&self, pk: &str) -> Vec<String> {
        self.past.now(pk, "ACCOUNT").map(|account| set(account, "settling")).unwrap_or_default()
    }

    /// Every coin that comes or goes has a reason in the same write.
    fn account(&mut self, pk: &str, image: &Image) -> Holds {
        let user = images::owner(&image.after)?;
        let (was, is) = image.both::<Account>()?;
        let was = was.unwrap_or_default();
        let context = || format!("{was:?} became {is:?}");
        let listing = images::listing(&image.after);
        let unlisted = invariants::account_unlisted(&user, &is, listing.as_ref(), Time::default());
        holds(LISTED, unlisted.is_none(), context)?;
        invariants::account_moves(&was, &is)?;
        invariants::open_sends_fit(&is)?;
        invariants::balance_can_be_held(&is)?;
        let mut wanted = i128::from(was.balance.0);
        for (id, send) in is.open.iter().filter(|(id, _)| !was.open.contains_key(*id)) {
            invariants::open_send_has_its_id(&user, id, send)?;
            let receipt = self.now::<Receipt>(Key::receipt(&user, &send.client_message_id))?;
            let ended = receipt.is_some() || self.seen.slots.contains_key(id);
            holds("a send is claimed once", !ended, || format!("{send:?}"))?;
            let end = Seq(self.past.tail_at(&Key::meta(&send.conversation).pk, self.by.began_at));
            holds("a look sees the log's end", send.base >= end, || format!("{end}: {send:?}"))?;
            self.seen.claims(pk, send.claimed_at.ms)?;
            self.is_not_blocked(&user, send)?;
            let is_in = kind_of_conversation(&send.conversation) != Some(Kind::Group)
                || self.was_read_as_in(&send.conversation, &user, |_| true);
            holds("who decides to send was read as in", is_in, || format!("{send:?}"))?;
            wanted -= i128::from(send.price.0);
        }
        for (id, send) in was.open.iter().filter(|(id, _)| !is.open.contains_key(*id)) {
            invariants::dropped_is_told(&is, id, &send.client_message_id)?;
            let receipt = self.now::<Receipt>(Key::receipt(&user, &send.client_message_id))?;
            let unfinished = || Broken { rule: "only the finished is dropped", seen: format!("{send:?}") };
            if receipt.ok_or_else(unfinished)?.void {
                wanted += i128::from(send.price.0);
            }
        }
        let line = |sk: &String| self.past.now(pk, sk);
        let (took, takes) = (&was.settling, &is.settling);
        if took.is_empty() && !takes.is_empty() {
            let fresh = takes.iter().all(|sk| line(sk).is_some_and(is_listed));
            holds("an entry is folded once", fresh, context)?;
            wanted += takes.iter().filter_map(line).map(|line| i128::from(number(line, "amount"))).sum::<i128>();
        } else if took != takes {
            let ended = takes.is_empty() && took.iter().all(|sk| line(sk).is_some_and(|line| !is_listed(line)));
            holds("a folding ends when its entries are unlisted", ended, context)?;
        }
        holds("coins are conserved", wanted == i128::from(is.balance.0), context)
    }
}
