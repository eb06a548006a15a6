//! What each call costs: counted where all calls pass.

use aws_sdk_dynamodb::config::interceptors::{
    BeforeSerializationInterceptorContextRef, BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_sdk_dynamodb::operation::batch_get_item::BatchGetItemOutput;
use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemOutput;
use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
use aws_sdk_dynamodb::operation::put_item::PutItemOutput;
use aws_sdk_dynamodb::operation::query::QueryOutput;
use aws_sdk_dynamodb::operation::scan::ScanOutput;
use aws_sdk_dynamodb::operation::update_item::UpdateItemOutput;
use aws_sdk_dynamodb::types::ConsumedCapacity;
use aws_smithy_runtime_api::client::interceptors::context::Output;
use aws_smithy_runtime_api::client::retries::RequestAttempts;
use aws_smithy_types::config_bag::{Storable, StoreReplace};

use crate::telemetry::{Metric, RoundTrip, count};

/// Counts what each call costs the running request: where all calls pass, so that none is forgotten.
#[derive(Debug)]
pub(super) struct Meter;

/// A call's [`RoundTrip`], kept with the call.
#[derive(Debug)]
struct OnItsWay(RoundTrip);

impl Storable for OnItsWay {
    type Storer = StoreReplace<Self>;
}

impl Intercept for Meter {
    fn name(&self) -> &'static str {
        "Meter"
    }

    fn read_before_execution(
        &self,
        _: &BeforeSerializationInterceptorContextRef<'_>,
        call: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        call.interceptor_state().store_put(OnItsWay(RoundTrip::begin()));
        Ok(())
    }

    fn read_before_attempt(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        call: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if call.load::<RequestAttempts>().is_some_and(|attempts| attempts.attempts() > 1) {
            count(Metric::Retries, 1.0);
        }
        Ok(())
    }

    fn read_after_execution(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        call: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(OnItsWay(trip)) = call.load::<OnItsWay>() {
            trip.end();
        }
        if let Some(Ok(answer)) = context.output_or_error()
            && let Some((metric, units)) = consumed(answer)
        {
            count(metric, units);
        }
        Ok(())
    }
}

/// What an answer says that its call has consumed, indexes included.
fn consumed(answer: &Output) -> Option<(Metric, f64)> {
    let units = |capacity: &ConsumedCapacity| capacity.capacity_units;
    if let Some(answer) = answer.downcast_ref::<BatchGetItemOutput>() {
        return Some((Metric::ReadUnits, answer.consumed_capacity().iter().filter_map(units).sum()));
    }
    if let Some(answer) = answer.downcast_ref::<BatchWriteItemOutput>() {
        return Some((Metric::WriteUnits, answer.consumed_capacity().iter().filter_map(units).sum()));
    }
    let read = (answer.downcast_ref::<GetItemOutput>().map(GetItemOutput::consumed_capacity))
        .or_else(|| answer.downcast_ref::<QueryOutput>().map(QueryOutput::consumed_capacity))
        .or_else(|| answer.downcast_ref::<ScanOutput>().map(ScanOutput::consumed_capacity));
    let written = (answer.downcast_ref::<PutItemOutput>().map(PutItemOutput::consumed_capacity))
        .or_else(|| answer.downcast_ref::<UpdateItemOutput>().map(UpdateItemOutput::consumed_capacity));
    match (read, written) {
        (Some(capacity), _) => Some((Metric::ReadUnits, capacity.and_then(units)?)),
        (_, Some(capacity)) => Some((Metric::WriteUnits, capacity.and_then(units)?)),
        _ => None,
    }
}
