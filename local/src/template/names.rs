//! What the things of a deployment are called on one machine.

/// What the pseudo parameter `AWS::Region` is on one machine.
pub const REGION: &str = "us-east-1";
/// What the pseudo parameter `AWS::AccountId` is on one machine.
pub const ACCOUNT_ID: &str = "000000000000";
/// The id of every API on one machine.
pub const API_ID: &str = "local";
/// The name of the table on one machine.
pub const TABLE_NAME: &str = "parley";
/// The name of the bucket on one machine.
pub const BUCKET_NAME: &str = "parley-archive";
/// The ARN of the secret on one machine.
pub const SECRET_ARN: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:parley";
