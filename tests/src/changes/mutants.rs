//! What the model is without one of its guards, or with two steps in another order. Each must be caught.

use clap::ValueEnum;

/// One guard or order less. Those at the end change nothing that a check sees: see [`Mutant::harmless`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
#[expect(missing_docs, reason = "the words are in `about`, where the program shows them, too")]
pub enum Mutant {
    ChangeAnyRev,
    ChangeOfDeleted,
    NamedIgnored,
    ComparedFirst,
    ChangeForgotten,
    RefusedUnasked,
    ChangeReadWeak,
    ListedAfter,
    UnlistAnyRev,
    ChangeUnlistedFirst,
    ChangeUnlistedBeforePush,
    FeedFromLastChange,
    HighestWillDo,
    FeedTailWeak,
    TakenByAny,
    FeedPutOverwrites,
    LastBeforeFeed,
    LastChangeBackwards,
    PushBeforeLast,
    PresenceWeak,
    LastToArrive,
    UnheldDropped,
    CursorOfPush,
    CursorAhead,
    MessagesFirst,
    MessagesWeak,
    SyncLastWeak,
    FeedBeforeLast,
    FeedFirstMissing,
    TrimSoon,
    TrimHighest,
    MissingIgnored,
    FeedToItsEnd,
    NoCursorIsNow,
    MemberUnasked,
    ChangePushedBelow,
    PushReadAgain,
    ChangeSyncMemberFirst,
    ChangeSyncedBelow,
    CursorOfAnyMembership,
    Unannounced,
    ObjectSoon,
    MovingChanged,
    Unfrozen,
    FrozenUnasked,
    FreezeAnyRev,
    OverlayOverwrites,
    ObjectForgets,
    ListedMoved,
    OverlayUnread,
    OverlayOfArchived,
    SyncMetaFirst,
    ResetForgetsRev,
    MemberFirst,
    DeletedAnyRev,
}

impl Mutant {
    /// All, as `--mutants` tries them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// What is different, in words.
    pub fn about(self) -> &'static str {
        match self {
            Self::ChangeAnyRev => "the write of a change doesn't ask for the `rev` that was read or named",
            Self::ChangeOfDeleted => "a change doesn't ask whether the message is deleted",
            Self::NamedIgnored => {
                "a refused edit goes on from the `rev` that it reads, not from the one that its caller named"
            }
            Self::ComparedFirst => "who reads the item judges it before they look whether it remembers the request",
            Self::ChangeForgotten => "the item doesn't remember the requests that changed it",
            Self::RefusedUnasked => "whose write was refused doesn't look whether the item remembers the request",
            Self::ChangeReadWeak => "the item is read weakly before it is changed",
            Self::ListedAfter => "the item is listed in a write of its own, after the change",
            Self::UnlistAnyRev => "the item leaves the index without asking for the `rev` whose effects were done",
            Self::ChangeUnlistedFirst => "the item leaves the index before its effects are done",
            Self::ChangeUnlistedBeforePush => "the item leaves the index before the push",
            Self::FeedFromLastChange => "appending begins at `last_change` + 1",
            Self::HighestWillDo => "nothing is appended where the feed's highest entry has the same number",
            Self::FeedTailWeak => "the feed's highest entry is read weakly",
            Self::TakenByAny => "a slot that is taken by another number will do",
            Self::FeedPutOverwrites => "the put of an entry doesn't ask that there is none",
            Self::LastBeforeFeed => "`last_change` is moved before the entry is put",
            Self::LastChangeBackwards => "`last_change` is moved backwards, too",
            Self::PushBeforeLast => "PRESENCE is read, and the device pushed, before `last_change` is moved",
            Self::PresenceWeak => "PRESENCE is read weakly",
            Self::LastToArrive => "a device keeps the version that comes last",
            Self::UnheldDropped => "a device forgets a change of a message that it doesn't hold yet",
            Self::CursorOfPush => "a push moves the cursor",
            Self::CursorAhead => "the cursor of each frame covers the whole `sync`",
            Self::MessagesFirst => "`sync` reads the messages before `last_change`",
            Self::MessagesWeak => "`sync` reads the messages weakly",
            Self::SyncLastWeak => "`sync` reads `last_change` weakly",
            Self::FeedBeforeLast => "`sync` reads the feed before `last_change`",
            Self::FeedFirstMissing => "appending begins at the first number that the feed lacks",
            Self::TrimSoon => "entries are deleted though somebody is left who looked before they were put",
            Self::TrimHighest => "the highest entry is deleted, too",
            Self::MissingIgnored => "`sync` passes over entries that are missing",
            Self::NoCursorIsNow => "who names a number and no cursor begins at `last_change`",
            Self::MemberUnasked => "MEMBER isn't asked before the push",
            Self::ChangePushedBelow => "a change is pushed to members whose `first_seq` is above the message",
            Self::PushReadAgain => "the push carries the message as it was read after MEMBER",
            Self::ChangeSyncMemberFirst => "`sync` reads MEMBER before the messages",
            Self::ChangeSyncedBelow => "`sync` brings what is below `first_seq`",
            Self::CursorOfAnyMembership => "a cursor doesn't say of which membership it is",
            Self::MemberFirst => "MEMBER is read before the feed's entry is put",
            Self::Unannounced => "a number isn't announced before its object is written",
            Self::ObjectSoon => "the object is written though somebody is left who read META before the announcement",
            Self::MovingChanged => "a change of a number that was announced goes to LOG",
            Self::Unfrozen => "LOG isn't frozen before the overlay is put",
            Self::FrozenUnasked => "a change of LOG doesn't ask whether it is frozen",
            Self::FreezeAnyRev => "LOG is frozen without asking for the `rev` that was read",
            Self::OverlayOverwrites => "the put of an overlay doesn't ask that there is none",
            Self::ObjectForgets => "the archive doesn't keep which requests have changed a message",
            Self::ListedMoved => "the cleanup doesn't ask whether a message is listed as changed",
            Self::OverlayUnread => "`sync` doesn't read the overlay",
            Self::OverlayOfArchived => {
                "`sync` reads the overlay only of what the archive has, not of what was announced"
            }
            Self::SyncMetaFirst => "`sync` reads META before `last_change`",
            Self::DeletedAnyRev => "the cleanup deletes a message without asking that it is as the object has it",
            Self::ResetForgetsRev => "a device forgets each message's `rev` with a reset",
            Self::FeedToItsEnd => "`sync` reads the feed to its end, beyond `last_change`",
        }
    }

    /// The small configuration that shows it soonest; the one that comes nearest, if nothing shows it.
    pub fn configuration(self) -> &'static str {
        match self {
            Self::ChangeAnyRev | Self::ChangeForgotten | Self::RefusedUnasked => "edited",
            Self::NamedIgnored => "compared-late",
            Self::ComparedFirst | Self::ChangeReadWeak => "compared",
            Self::ChangeOfDeleted => "deleted",
            Self::ListedAfter
            | Self::UnlistAnyRev
            | Self::ChangeUnlistedFirst
            | Self::ChangeUnlistedBeforePush
            | Self::LastToArrive
            | Self::PresenceWeak => "changed-twice",
            Self::UnheldDropped => "changed",
            Self::FeedFromLastChange
            | Self::HighestWillDo
            | Self::FeedTailWeak
            | Self::LastBeforeFeed
            | Self::PushBeforeLast
            | Self::CursorOfPush
            | Self::MessagesFirst
            | Self::MessagesWeak
            | Self::SyncLastWeak
            | Self::FeedBeforeLast => "away",
            Self::LastChangeBackwards
            | Self::FeedToItsEnd
            | Self::TakenByAny
            | Self::FeedPutOverwrites
            | Self::CursorAhead => "two-changed",
            Self::NoCursorIsNow => "no-cursor",
            Self::MissingIgnored | Self::TrimHighest | Self::ResetForgetsRev => "trimmed",
            Self::FeedFirstMissing | Self::TrimSoon => "trimmed-slowly",
            Self::MemberUnasked | Self::PushReadAgain | Self::MemberFirst => "unseen",
            Self::ChangeSyncMemberFirst
            | Self::ChangePushedBelow
            | Self::ChangeSyncedBelow
            | Self::CursorOfAnyMembership => "unseen-again",
            Self::Unannounced
            | Self::ObjectSoon
            | Self::MovingChanged
            | Self::Unfrozen
            | Self::FrozenUnasked
            | Self::FreezeAnyRev
            | Self::OverlayOverwrites
            | Self::DeletedAnyRev => "archived",
            Self::ObjectForgets => "archived-again",
            Self::ListedMoved | Self::OverlayUnread | Self::OverlayOfArchived | Self::SyncMetaFirst => "archived-due",
        }
    }

    /// Why nothing goes wrong without this guard, if that is so.
    pub fn harmless(self) -> Option<&'static str> {
        match self {
            Self::ResetForgetsRev => {
                Some("the page is read after the reset, and a change that comes meanwhile is kept")
            }
            Self::MemberFirst => Some("the change was made before, and who joins later may not see the message"),
            Self::DeletedAnyRev => Some("nobody who may still change it is left when its object is written"),
            _ => None,
        }
    }
}
