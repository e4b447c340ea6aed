//! The store keeps its promises on the embedded DynamoDB, over HTTP, by the real SDK.

use testkit::contract;
use testkit::wire::Store;

#[tokio::test]
async fn the_store_keeps_its_promises() {
    contract::run(&Store::start().await).await;
}
