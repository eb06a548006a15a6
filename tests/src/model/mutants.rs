//! What the model is without one of its guards, or with two steps in another order. Each must be caught.

use clap::ValueEnum;

/// One guard or order less. Those at the end change nothing that a check sees: see [`Mutant::harmless`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
#[expect(missing_docs, reason = "the words are in `about`, where the program shows them, too")]
pub enum Mutant {
    ClaimWithoutEpoch,
    ClaimWithoutOpenAbsent,
    ClaimWithoutBalance,
    ClaimAfterOwnDrop,
    DropWithoutEpoch,
    DropLeavesEpoch,
    DropWithoutReceipt,
    ReceiptBeforeAccount,
    BaseAfterClaim,
    ResumeWithOwnBase,
    ResumeWithOwnPrice,
    FingerprintUnchecked,
    BalanceJudgedBeforeOpen,
    AffordableByBalanceAlone,
    ResumeWithoutConversation,
    PublishWithoutAbsent,
    HighestPlusOne,
    VoidWithoutSid,
    OwnSlotUnnoticed,
    OwnVoidTakenForMessage,
    VoidBypassesPublish,
    RaiseBaseTooFar,
    ReceiptNotReadAgain,
    ReceiptBeforePublish,
    ReceiptBeforeEffects,
    RefundOutsideDrop,
    RefundNeverMade,
    UnlistWithoutEmpty,
    DropOfAllWithoutCount,
    EntryPutOverwrites,
    TopupTimeOwn,
    FoldWithoutVersion,
    SettlingIgnored,
    IndexTrusted,
    EntriesBeforeAccount,
    FoldedWithoutVersion,
    FoldedBeforeUnflag,
    RelistForgotten,
    UnlistAnywhere,
    UnlistAtOnce,
    UnlistSameDay,
    LookBeforeDue,
    ClaimByIdWithoutUpto,
    ClaimByIdWithoutUptoEpoch,
    ClaimByIdWithoutOpenAbsent,
    ByIdJudgedByBalanceFirst,
    ByIdThenByEpoch,
    ClaimDropLeavesEpoch,
    ClaimDropLeavesUpto,
    ClaimDropsVoid,
    ClaimDropsAnswered,
    ClaimDropRepairs,
    ClaimUptoSinks,
    ClaimByEpochUptoSinks,
    DropLeavesUpto,
    DropOfVoidLeavesUpto,
    DropUptoSinks,
    RepairWithoutQuery,
    RepairByOther,
    RepairQueryBeforeAccount,
    EpochJudgedBeforeOpen,
    ReceiptPutOverwrites,
}

impl Mutant {
    /// All, as `--mutants` tries them.
    pub fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// What is different, in words.
    pub fn about(self) -> &'static str {
        match self {
            Self::ClaimWithoutEpoch => "account_claim doesn't ask for the epoch that the look saw",
            Self::ClaimWithoutOpenAbsent => "account_claim doesn't ask that the send isn't open",
            Self::ClaimWithoutBalance => "account_claim doesn't ask for the balance",
            Self::ClaimAfterOwnDrop => "make_room claims with the epoch of its own drop instead of looking again",
            Self::DropWithoutEpoch => "account_drop doesn't ask for the epoch of its ACCOUNT read",
            Self::DropLeavesEpoch => "account_drop doesn't count the epoch up",
            Self::DropWithoutReceipt => "drop_finished takes sends that have no RECEIPT, too",
            Self::ReceiptBeforeAccount => "look reads RECEIPT before ACCOUNT",
            Self::BaseAfterClaim => "log_tail is read after the claim instead of before",
            Self::ResumeWithOwnBase => "resume walks from the base of its own look instead of the recorded one",
            Self::ResumeWithOwnPrice => "the effects use the attempt's own price instead of the recorded one",
            Self::FingerprintUnchecked => "resume doesn't compare the fingerprint",
            Self::BalanceJudgedBeforeOpen => "a refused claim is judged by the balance before `open` is looked at",
            Self::AffordableByBalanceAlone => {
                "a first message is refused for the settled balance alone, without asking whether the send is open"
            }
            Self::ResumeWithoutConversation => {
                "an open send is refused as not_a_participant when its look read META before the conversation was made"
            }
            Self::PublishWithoutAbsent => "log_publish doesn't ask that the slot is free",
            Self::HighestPlusOne => {
                "a walk goes on at the highest number of an answer + 1 instead of the first missing"
            }
            Self::VoidWithoutSid => "a void carries no sid",
            Self::OwnSlotUnnoticed => "the sweep's walk doesn't look whether a taken slot is the send's own",
            Self::OwnVoidTakenForMessage => "a walk that meets its own void takes its number for the message's",
            Self::VoidBypassesPublish => "the sweep writes the void into the RECEIPT without taking a slot",
            Self::RaiseBaseTooFar => "account_raise_base raises over a slot that wasn't seen as another's",
            Self::ReceiptNotReadAgain => {
                "publish doesn't read RECEIPT again when the archive has taken slots above the base"
            }
            Self::ReceiptBeforePublish => "RECEIPT is written before the slot is taken",
            Self::ReceiptBeforeEffects => "RECEIPT is written before the ledger entries",
            Self::RefundOutsideDrop => "the refund is a write of its own after the drop",
            Self::RefundNeverMade => "the drop of a void send gives nothing back",
            Self::UnlistWithoutEmpty => "account_unlist doesn't ask that `open` is empty",
            Self::DropOfAllWithoutCount => "account_drop_all doesn't ask that it drops all that is open",
            Self::EntryPutOverwrites => "entry_put doesn't ask that the entry is absent",
            Self::TopupTimeOwn => "a repeated top-up uses its own time instead of the one that TOPUP fixed",
            Self::FoldWithoutVersion => "account_fold doesn't ask for the version",
            Self::SettlingIgnored => "settle doesn't finish what another left half-way",
            Self::IndexTrusted => "entries are folded as the index proposes them, without the strong read",
            Self::EntriesBeforeAccount => "the entries are read before ACCOUNT",
            Self::FoldedWithoutVersion => "account_folded doesn't ask for the version",
            Self::FoldedBeforeUnflag => "`settling` is removed before the flags are",
            Self::RelistForgotten => "who finishes a message in an idle conversation doesn't list it anew",
            Self::UnlistAnywhere => "conversation_unlist doesn't ask that the conversation is where it was seen",
            Self::UnlistAtOnce => "the first look that finds nothing to do takes a conversation out of the index",
            Self::UnlistSameDay => "the second look comes while somebody is alive who read META before the first",
            Self::LookBeforeDue => "a cleanup looks at what another has just looked at",
            Self::EpochJudgedBeforeOpen => "a refused claim is judged by the epoch before `open` is looked at",
            Self::ReceiptPutOverwrites => "receipt_put doesn't ask that there is none",
            by_id => by_id.about_ids(),
        }
    }

    /// The same of ids that sort by time, and of claims that drop.
    fn about_ids(self) -> &'static str {
        match self {
            Self::ClaimByIdWithoutUpto => "a claim by id doesn't ask that the id is above `dropped_upto`",
            Self::ClaimByIdWithoutUptoEpoch => "a claim by id doesn't ask that `dropped_upto` is true of the epoch",
            Self::ClaimByIdWithoutOpenAbsent => "a claim by id doesn't ask that the send isn't open",
            Self::ByIdJudgedByBalanceFirst => {
                "a refused claim by id is judged by the balance before `dropped_upto` is looked at"
            }
            Self::ByIdThenByEpoch => "a refused claim by id is made by epoch, with the look that didn't read RECEIPT",
            Self::ClaimDropLeavesEpoch => "a claim that drops doesn't count the epoch up",
            Self::ClaimDropLeavesUpto => "a claim that drops doesn't raise `dropped_upto`",
            Self::ClaimDropsVoid => "a claim drops what has a void RECEIPT, too, and gives nothing back",
            Self::ClaimDropsAnswered => "a claim drops what was published and has no RECEIPT yet",
            Self::ClaimDropRepairs => {
                "a claim drops where the version before has dropped, and calls `dropped_upto` true"
            }
            Self::ClaimUptoSinks => "a claim by id that drops sets `dropped_upto` without asking that it is below",
            Self::ClaimByEpochUptoSinks => {
                "a claim by epoch that drops sets `dropped_upto` to what it drops, even if it was higher"
            }
            Self::DropLeavesUpto => "account_drop doesn't raise `dropped_upto`",
            Self::DropOfVoidLeavesUpto => "account_drop raises `dropped_upto` for messages, but not for voids",
            Self::DropUptoSinks => "account_drop sets `dropped_upto` to what it drops, even if it was higher",
            Self::RepairWithoutQuery => {
                "where the version before has dropped, account_drop calls `dropped_upto` true without asking the RECEIPTs"
            }
            Self::RepairByOther => "the same where it drops no send whose id sorts by time",
            Self::RepairQueryBeforeAccount => "the RECEIPTs are asked before ACCOUNT is read",
            _ => "",
        }
    }

    /// The small configuration that shows it soonest; the one that comes nearest, if nothing shows it.
    pub fn configuration(self) -> &'static str {
        match self {
            Self::OwnVoidTakenForMessage => "void",
            Self::ReceiptBeforeAccount | Self::ClaimAfterOwnDrop | Self::DropWithoutReceipt => "room",
            Self::ResumeWithOwnBase
            | Self::PublishWithoutAbsent
            | Self::HighestPlusOne
            | Self::VoidWithoutSid
            | Self::VoidBypassesPublish
            | Self::RefundOutsideDrop
            | Self::RefundNeverMade => "walk",
            Self::ClaimWithoutOpenAbsent | Self::ResumeWithOwnPrice => "prices",
            Self::FingerprintUnchecked => "contents",
            Self::ResumeWithoutConversation => "strangers",
            Self::AffordableByBalanceAlone => "first",
            Self::RaiseBaseTooFar => "long-walk",
            Self::ReceiptNotReadAgain => "archive",
            Self::RelistForgotten
            | Self::UnlistAnywhere
            | Self::UnlistAtOnce
            | Self::UnlistSameDay
            | Self::LookBeforeDue => "rest",
            Self::DropWithoutEpoch | Self::UnlistWithoutEmpty | Self::DropOfAllWithoutCount => "sibling",
            Self::ClaimWithoutBalance | Self::EntryPutOverwrites => "poor",
            Self::TopupTimeOwn | Self::FoldWithoutVersion => "top-up",
            Self::SettlingIgnored
            | Self::IndexTrusted
            | Self::EntriesBeforeAccount
            | Self::FoldedWithoutVersion
            | Self::FoldedBeforeUnflag => "settlers",
            Self::ClaimByIdWithoutUpto | Self::ByIdJudgedByBalanceFirst | Self::DropLeavesUpto => "pair-by-id",
            Self::ClaimByIdWithoutUptoEpoch => "old-pair",
            Self::ClaimDropLeavesEpoch => "dropped",
            Self::ClaimDropLeavesUpto => "dropped-by-id",
            Self::ClaimDropsVoid | Self::ClaimDropsAnswered => "sibling-by-id",
            Self::RepairWithoutQuery => "updated-late",
            Self::ClaimDropRepairs => "updated-three",
            Self::ClaimUptoSinks => "three",
            Self::ClaimByEpochUptoSinks => "three-mixed",
            Self::ClaimByIdWithoutOpenAbsent | Self::ByIdThenByEpoch | Self::DropOfVoidLeavesUpto => "retry-by-id",
            Self::DropUptoSinks => "dropped-late",
            Self::RepairByOther => "updated-mixed",
            Self::RepairQueryBeforeAccount => "repair",
            Self::EpochJudgedBeforeOpen | Self::ReceiptPutOverwrites => "retry",
            Self::ClaimWithoutEpoch
            | Self::DropLeavesEpoch
            | Self::BaseAfterClaim
            | Self::BalanceJudgedBeforeOpen
            | Self::OwnSlotUnnoticed
            | Self::ReceiptBeforePublish
            | Self::ReceiptBeforeEffects => "pair",
        }
    }

    /// Why nothing goes wrong without this guard, if that is so.
    pub fn harmless(self) -> Option<&'static str> {
        match self {
            Self::EpochJudgedBeforeOpen => Some("the next look finds the open send: the order only saves that look"),
            Self::ReceiptPutOverwrites => {
                Some("whoever repeats a RECEIPT writes the same: one slot, one void or message")
            }
            _ => None,
        }
    }
}
