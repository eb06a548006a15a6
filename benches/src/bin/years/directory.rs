//! The data directory, while no machine runs on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use dynoxide::{AttributeValue, Database, ImportOptions, Item};
use local::data_dir::{DATABASE_FILE, DataLock};
use local::engine::make_database;
use local::template::{DEPLOYED, TABLE_NAME, Template};
use serde_json::json;
use tests::years::{Made, Plan, generate};

use benches::problem::Problem;

/// So many items are written at once.
const PORTION: usize = 5_000;
/// Items of one page of a scan.
const PAGE: usize = 1_000;

/// Fills a new directory.
pub(crate) fn fill(directory: &Path, plan: &Plan) -> Result<Vec<Made>, Problem> {
    let table = Template::parse(DEPLOYED)?.deploy(&BTreeMap::new(), "http://127.0.0.1")?.table;
    make_database(&DataLock::take(directory)?, &table)?;
    let (_lock, database) = open(directory)?;
    if !scan(&database, None, 1)?.0.is_empty() {
        return Err(format!("--data-dir {}: there is data in it; name a new directory", directory.display()).into());
    }
    database.enable_bulk_loading()?;
    let (began, mut portion, mut written, mut said) = (Instant::now(), Vec::new(), 0, 0);
    let mut failed = None;
    let mut import = |items: Vec<Item>| {
        written += items.len();
        if let Err(error) = database.import_items(TABLE_NAME, items, ImportOptions::default()) {
            failed.get_or_insert(error);
        }
        if written - said >= 100_000 {
            eprintln!("{written} items");
            said = written;
        }
    };
    let made = generate(plan, |items| {
        portion.extend(items);
        if portion.len() >= PORTION {
            import(std::mem::take(&mut portion));
        }
    });
    import(portion);
    database.disable_bulk_loading()?;
    match failed {
        Some(error) => Err(error.into()),
        None => {
            eprintln!("{written} items of {} messages in {:.1} s", plan.messages, began.elapsed().as_secs_f64());
            Ok(made)
        }
    }
}

/// Makes what was moved to the archive look as if that was so many milliseconds earlier: a day that nobody waits for.
pub(crate) fn ages(directory: &Path, ms: i64) -> Result<(), Problem> {
    let (_lock, database) = open(directory)?;
    let mut after = None;
    loop {
        let (items, next) = scan(&database, after.take(), PAGE)?;
        let metas =
            items.into_iter().filter(|item| matches!(item.get("sk"), Some(AttributeValue::S(sk)) if sk == "META"));
        let earlier = metas.map(|meta| aged(meta, ms)).collect();
        database.import_items(TABLE_NAME, earlier, ImportOptions::default())?;
        after = next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// A META that was looked at earlier: when it moved, and when the next look is.
fn aged(mut meta: Item, ms: i64) -> Item {
    if let Some(AttributeValue::N(at)) = meta.get_mut("moved_at") {
        *at = (at.parse::<i64>().unwrap_or_default() - ms).to_string();
    }
    if let Some(AttributeValue::S(sk)) = meta.get_mut("work_sk")
        && let Some((at, rest)) = sk.split_at_checked(13)
    {
        *sk = format!("{:013}{rest}", at.parse::<i64>().unwrap_or_default() - ms);
    }
    meta
}

fn open(directory: &Path) -> Result<(DataLock, Database), Problem> {
    let lock = DataLock::take(directory)?;
    let database = Database::new(&directory.join(DATABASE_FILE).to_string_lossy())?;
    Ok((lock, database))
}

fn scan(database: &Database, after: Option<Item>, limit: usize) -> Result<(Vec<Item>, Option<Item>), Problem> {
    let request = json!({ "TableName": TABLE_NAME, "Limit": limit, "ExclusiveStartKey": after });
    let answer = database.scan(serde_json::from_value(request)?)?;
    Ok((answer.items.unwrap_or_default(), answer.last_evaluated_key))
}
