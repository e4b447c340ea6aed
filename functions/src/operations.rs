//! The table of all operations: name, access, handler, routes, error format and documentation. A handler that is
//! missing here is not reachable; a test compares the table with `template.yaml`.

use domain::permission::Permission as P;
use lambda::ErrorFormat;

use crate::jobs::rights::{BEGUN_WITH, SEEN_WITH};
use crate::operation::Operation;
use crate::{
    access, deployments, devices, exports, jobs, overview, pages, profiles, scim, seam, sources, triggers, users,
    webhooks,
};

/// The operation with this name.
#[must_use]
pub fn operation(name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|operation| operation.name == name)
}

/// Every operation.
pub static OPERATIONS: &[Operation] = &[
    // overview
    Operation::any_admin("get-overview", overview::SEEN_WITH, |s, r| Box::pin(overview::get_overview::handle(s, r)))
        .routes(&["GET /overview"])
        .doc(overview::get_overview::doc),
    Operation::any_admin("search", overview::SEEN_WITH, |s, r| Box::pin(overview::search::handle(s, r)))
        .routes(&["GET /search"])
        .query()
        .doc(overview::search::doc),
    // devices
    Operation::code("register-device", |s, r| Box::pin(devices::register_device::handle(s, r)))
        .routes(&["POST /devices"])
        .doc(devices::register_device::doc),
    Operation::device("check-in-device", |s, r| Box::pin(devices::check_in_device::handle(s, r)))
        .routes(&["POST /devices/me/check-in"])
        .doc(devices::check_in_device::doc),
    Operation::admin("list-devices", P::DevicesRead, |s, r| Box::pin(devices::list_devices::handle(s, r)))
        .routes(&["GET /devices"])
        .query()
        .doc(devices::list_devices::doc),
    Operation::admin("get-device", P::DevicesRead, |s, r| Box::pin(devices::get_device::handle(s, r)))
        .routes(&["GET /devices/{device_id}"])
        .doc(devices::get_device::doc),
    Operation::admin("update-device", P::DevicesManage, |s, r| Box::pin(devices::update_device::handle(s, r)))
        .routes(&["PATCH /devices/{device_id}"])
        .body()
        .doc(devices::update_device::doc),
    Operation::admin("block-device", P::DevicesManage, |s, r| Box::pin(devices::block_device::handle(s, r)))
        .routes(&["POST /devices/{device_id}/block"])
        .body()
        .doc(devices::block_device::doc),
    Operation::admin("unblock-device", P::DevicesManage, |s, r| Box::pin(devices::unblock_device::handle(s, r)))
        .routes(&["POST /devices/{device_id}/unblock"])
        .body()
        .doc(devices::unblock_device::doc),
    Operation::admin("delete-device", P::DevicesManage, |s, r| Box::pin(devices::delete_device::handle(s, r)))
        .routes(&["DELETE /devices/{device_id}"])
        .doc(devices::delete_device::doc),
    Operation::admin("wipe-device", P::UsersWipe, |s, r| Box::pin(devices::wipe_device::handle(s, r)))
        .routes(&["POST /devices/{device_id}/wipe"])
        .body()
        .doc(devices::wipe_device::doc),
    Operation::admin("lock-device", P::DevicesManage, |s, r| Box::pin(devices::lock_device::handle(s, r)))
        .routes(&["POST /devices/{device_id}/lock"])
        .body()
        .doc(devices::lock_device::doc),
    Operation::admin("list-commands", P::DevicesRead, |s, r| Box::pin(devices::list_commands::handle(s, r)))
        .routes(&["GET /devices/{device_id}/commands"])
        .query()
        .doc(devices::list_commands::doc),
    Operation::admin("cancel-command", P::DevicesManage, |s, r| Box::pin(devices::cancel_command::handle(s, r)))
        .routes(&["DELETE /devices/{device_id}/commands/{command_id}"])
        .doc(devices::cancel_command::doc),
    Operation::device("report-command", |s, r| Box::pin(devices::report_command::handle(s, r)))
        .routes(&["POST /devices/me/commands/{command_id}"])
        .doc(devices::report_command::doc),
    Operation::admin("issue-credential", P::DevicesManage, |s, r| Box::pin(devices::issue_credential::handle(s, r)))
        .routes(&["PUT /devices/{device_id}/credentials/{acs_credential_id}"])
        .doc(devices::issue_credential::doc),
    Operation::admin("revoke-credential", P::DevicesManage, |s, r| Box::pin(devices::revoke_credential::handle(s, r)))
        .routes(&["DELETE /devices/{device_id}/credentials/{acs_credential_id}"])
        .doc(devices::revoke_credential::doc),
    Operation::admin("report-credential-service", P::DevicesManage, |s, r| {
        Box::pin(devices::report_credential_service::handle(s, r))
    })
    .routes(&["PUT /devices/{device_id}/credential-services/{service}"])
    .body()
    .doc(devices::report_credential_service::doc),
    // users
    Operation::admin("create-user", P::UsersManage, |s, r| Box::pin(users::create_user::handle(s, r)))
        .routes(&["POST /users"])
        .body()
        .doc(users::create_user::doc),
    Operation::admin("get-user", P::UsersRead, |s, r| Box::pin(users::get_user::handle(s, r)))
        .routes(&["GET /users/{user_id}"])
        .doc(users::get_user::doc),
    Operation::admin("list-users", P::UsersRead, |s, r| Box::pin(users::list_users::handle(s, r)))
        .routes(&["GET /users"])
        .query()
        .doc(users::list_users::doc),
    Operation::admin("update-user", P::UsersManage, |s, r| Box::pin(users::update_user::handle(s, r)))
        .routes(&["PATCH /users/{user_id}"])
        .body()
        .doc(users::update_user::doc),
    Operation::admin("activate-user", P::UsersManage, |s, r| Box::pin(users::activate_user::handle(s, r)))
        .routes(&["POST /users/{user_id}/activate"])
        .doc(users::activate_user::doc),
    Operation::admin("suspend-user", P::UsersManage, |s, r| Box::pin(users::suspend_user::handle(s, r)))
        .routes(&["POST /users/{user_id}/suspend"])
        .body()
        .doc(users::suspend_user::doc),
    Operation::admin("delete-user", P::UsersManage, |s, r| Box::pin(users::delete_user::handle(s, r)))
        .routes(&["DELETE /users/{user_id}"])
        .query()
        .body()
        .doc(users::delete_user::doc),
    Operation::admin("lock-and-wipe-user", P::UsersWipe, |s, r| Box::pin(users::lock_and_wipe_user::handle(s, r)))
        .routes(&["POST /users/{user_id}/lock-and-wipe"])
        .body()
        .doc(users::lock_and_wipe_user::doc),
    Operation::admin("reset-pin", P::UsersManage, |s, r| Box::pin(users::reset_pin::handle(s, r)))
        .routes(&["POST /users/{user_id}/reset-pin"])
        .body()
        .doc(users::reset_pin::doc),
    Operation::admin("invite-user", P::UsersManage, |s, r| Box::pin(users::invite_user::handle(s, r)))
        .routes(&["POST /users/{user_id}/invite"])
        .body()
        .doc(users::invite_user::doc),
    Operation::code("open-invitation", |s, r| Box::pin(users::open_invitation::handle(s, r)))
        .routes(&["POST /i/{code}", "GET /i/{code}"])
        .doc(users::open_invitation::doc),
    Operation::admin("list-invitations", P::UsersRead, |s, r| Box::pin(users::list_invitations::handle(s, r)))
        .routes(&["GET /users/{user_id}/invitations"])
        .query()
        .doc(users::list_invitations::doc),
    Operation::admin("revoke-invitation", P::UsersManage, |s, r| Box::pin(users::revoke_invitation::handle(s, r)))
        .routes(&["DELETE /users/{user_id}/invitations/{invitation_id}"])
        .doc(users::revoke_invitation::doc),
    Operation::admin("report-network", P::NetworksReport, |s, r| Box::pin(users::report_network::handle(s, r)))
        .routes(&["PUT /users/{user_id}/networks/{provider}"])
        .body()
        .doc(users::report_network::doc),
    Operation::admin("get-usage", P::UsersRead, |s, r| Box::pin(users::get_usage::handle(s, r)))
        .routes(&["GET /users/{user_id}/usage", "GET /usage"])
        .doc(users::get_usage::doc),
    // profiles
    Operation::admin("create-profile", P::DeploymentsManage, |s, r| Box::pin(profiles::create_profile::handle(s, r)))
        .routes(&["POST /profiles"])
        .body()
        .doc(profiles::create_profile::doc),
    Operation::admin("list-profiles", P::DeploymentsRead, |s, r| Box::pin(profiles::list_profiles::handle(s, r)))
        .routes(&["GET /profiles"])
        .query()
        .doc(profiles::list_profiles::doc),
    Operation::admin("get-profile", P::DeploymentsRead, |s, r| Box::pin(profiles::get_profile::handle(s, r)))
        .routes(&["GET /profiles/{profile_id}"])
        .doc(profiles::get_profile::doc),
    Operation::admin("update-profile", P::DeploymentsManage, |s, r| Box::pin(profiles::update_profile::handle(s, r)))
        .routes(&["PATCH /profiles/{profile_id}"])
        .body()
        .doc(profiles::update_profile::doc),
    Operation::admin("delete-profile", P::DeploymentsManage, |s, r| Box::pin(profiles::delete_profile::handle(s, r)))
        .routes(&["DELETE /profiles/{profile_id}"])
        .doc(profiles::delete_profile::doc),
    // deployments
    Operation::admin("deploy-config", P::DeploymentsManage, |s, r| Box::pin(deployments::deploy_config::handle(s, r)))
        .routes(&["POST /users/{user_id}/deploy"])
        .body()
        .doc(deployments::deploy_config::doc),
    Operation::admin("auto-deploy", P::DeploymentsManage, |s, r| Box::pin(deployments::auto_deploy::handle(s, r)))
        .routes(&["POST /deployments/auto"])
        .body()
        .doc(deployments::auto_deploy::doc),
    Operation::admin("set-force-config", P::DeploymentsManage, |s, r| {
        Box::pin(deployments::set_force_config::handle(s, r))
    })
    .routes(&["POST /users/{user_id}/force-config"])
    .doc(deployments::set_force_config::doc),
    Operation::admin("list-deployments", P::DeploymentsRead, |s, r| {
        Box::pin(deployments::list_deployments::handle(s, r))
    })
    .routes(&["GET /deployments"])
    .query()
    .doc(deployments::list_deployments::doc),
    Operation::admin("revoke-deployment", P::DeploymentsManage, |s, r| {
        Box::pin(deployments::revoke_deployment::handle(s, r))
    })
    .routes(&["DELETE /deployments/{deployment_id}"])
    .doc(deployments::revoke_deployment::doc),
    Operation::admin("get-deployment-qr", P::DeploymentsManage, |s, r| {
        Box::pin(deployments::get_deployment_qr::handle(s, r))
    })
    .routes(&["GET /deployments/{deployment_id}/qr"])
    .doc(deployments::get_deployment_qr::doc),
    Operation::admin("set-user-secrets", P::DeploymentsManage, |s, r| {
        Box::pin(deployments::set_user_secrets::handle(s, r))
    })
    .routes(&["PUT /users/{user_id}/secrets"])
    .body()
    .doc(deployments::set_user_secrets::doc),
    Operation::admin("undeploy-user", P::DeploymentsManage, |s, r| Box::pin(deployments::undeploy_user::handle(s, r)))
        .routes(&["DELETE /deployments/users/{user_id}"])
        .doc(deployments::undeploy_user::doc),
    Operation::device("download-config", |s, r| Box::pin(deployments::download_config::handle(s, r)))
        .routes(&["POST /devices/me/config"])
        .doc(deployments::download_config::doc),
    Operation::code("redirect", |s, r| Box::pin(deployments::redirect::handle(s, r)))
        .routes(&["GET /r/{code}"])
        .doc(deployments::redirect::doc),
    // exports
    Operation::admin("export-users", P::UsersRead, |s, r| Box::pin(exports::export_users::handle(s, r)))
        .routes(&["GET /users/export"])
        .query()
        .doc(exports::export_users::doc),
    Operation::admin("export-devices", P::DevicesRead, |s, r| Box::pin(exports::export_devices::handle(s, r)))
        .routes(&["GET /devices/export"])
        .query()
        .doc(exports::export_devices::doc),
    Operation::admin("export-events", P::EventsRead, |s, r| Box::pin(exports::export_events::handle(s, r)))
        .routes(&["GET /events/export"])
        .query()
        .doc(exports::export_events::doc),
    // scim
    Operation::admin("scim", P::UsersManage, |s, r| Box::pin(scim::scim::handle(s, r)))
        .routes(&["ANY /scim/v2/{proxy+}"])
        .error_format(ErrorFormat::Scim),
    // seam
    Operation::admin("seam-phones", P::DevicesRead, |s, r| Box::pin(seam::seam_phones::handle(s, r)))
        .routes(&["ANY /phones/{proxy+}"])
        .error_format(ErrorFormat::Seam),
    Operation::admin("seam-devices", P::DevicesRead, |s, r| Box::pin(seam::seam_devices::handle(s, r)))
        .routes(&[
            "GET /devices/get",
            "POST /devices/get",
            "GET /devices/list",
            "POST /devices/list",
            "PATCH /devices/update",
            "POST /devices/update",
        ])
        .error_format(ErrorFormat::Seam),
    Operation::admin("seam-events", P::EventsRead, |s, r| Box::pin(seam::seam_events::handle(s, r)))
        .routes(&["ANY /events/get", "ANY /events/list"])
        .error_format(ErrorFormat::Seam),
    Operation::admin("seam-user-identities", P::UsersRead, |s, r| Box::pin(seam::seam_user_identities::handle(s, r)))
        .routes(&["ANY /user_identities/{proxy+}"])
        .error_format(ErrorFormat::Seam),
    Operation::admin_anywhere("seam-workspaces", P::UsersRead, |s, r| Box::pin(seam::seam_workspaces::handle(s, r)))
        .routes(&["ANY /workspaces/{proxy+}"])
        .error_format(ErrorFormat::Seam),
    Operation::admin("seam-webhooks", P::WorkspaceManage, |s, r| Box::pin(seam::seam_webhooks::handle(s, r)))
        .routes(&["ANY /webhooks/create"])
        .error_format(ErrorFormat::Seam),
    // jobs
    Operation::admin("bulk-users", P::UsersManage, |s, r| Box::pin(jobs::bulk_users::handle(s, r)))
        .routes(&["POST /users/bulk"])
        .body()
        .doc(jobs::bulk_users::doc),
    Operation::admin("bulk-devices", P::DevicesManage, |s, r| Box::pin(jobs::bulk_devices::handle(s, r)))
        .routes(&["POST /devices/bulk"])
        .body()
        .doc(jobs::bulk_devices::doc),
    Operation::any_admin("get-job", SEEN_WITH, |s, r| Box::pin(jobs::get_job::handle(s, r)))
        .routes(&["GET /jobs/{job_id}"])
        .query()
        .doc(jobs::get_job::doc),
    Operation::any_admin("list-jobs", SEEN_WITH, |s, r| Box::pin(jobs::list_jobs::handle(s, r)))
        .routes(&["GET /jobs"])
        .query()
        .doc(jobs::list_jobs::doc),
    Operation::any_admin("cancel-job", BEGUN_WITH, |s, r| Box::pin(jobs::cancel_job::handle(s, r)))
        .routes(&["DELETE /jobs/{job_id}"])
        .doc(jobs::cancel_job::doc),
    // sources
    Operation::admin("create-source", P::UsersManage, |s, r| Box::pin(sources::create_source::handle(s, r)))
        .routes(&["POST /sources"])
        .body()
        .doc(sources::create_source::doc),
    Operation::admin("list-sources", P::UsersRead, |s, r| Box::pin(sources::list_sources::handle(s, r)))
        .routes(&["GET /sources"])
        .query()
        .doc(sources::list_sources::doc),
    Operation::admin("get-source", P::UsersRead, |s, r| Box::pin(sources::get_source::handle(s, r)))
        .routes(&["GET /sources/{source_id}"])
        .doc(sources::get_source::doc),
    Operation::admin("update-source", P::UsersManage, |s, r| Box::pin(sources::update_source::handle(s, r)))
        .routes(&["PATCH /sources/{source_id}"])
        .body()
        .doc(sources::update_source::doc),
    Operation::admin("delete-source", P::UsersManage, |s, r| Box::pin(sources::delete_source::handle(s, r)))
        .routes(&["DELETE /sources/{source_id}"])
        .doc(sources::delete_source::doc),
    Operation::admin("upload-source-part", P::UsersManage, |s, r| Box::pin(sources::upload_source_part::handle(s, r)))
        .routes(&["PUT /sources/{source_id}/parts/{number}"])
        .query()
        .body()
        .doc(sources::upload_source_part::doc),
    Operation::admin("sync-users", P::UsersManage, |s, r| Box::pin(sources::sync_users::handle(s, r)))
        .routes(&["POST /sources/{source_id}/sync"])
        .body()
        .doc(sources::sync_users::doc),
    // webhooks
    Operation::admin("create-webhook", P::WorkspaceManage, |s, r| Box::pin(webhooks::create_webhook::handle(s, r)))
        .routes(&["POST /webhooks"])
        .body()
        .doc(webhooks::create_webhook::doc),
    Operation::admin("list-webhooks", P::WorkspaceManage, |s, r| Box::pin(webhooks::list_webhooks::handle(s, r)))
        .routes(&["GET /webhooks"])
        .query()
        .doc(webhooks::list_webhooks::doc),
    Operation::admin("get-webhook", P::WorkspaceManage, |s, r| Box::pin(webhooks::get_webhook::handle(s, r)))
        .routes(&["GET /webhooks/{webhook_id}"])
        .doc(webhooks::get_webhook::doc),
    Operation::admin("update-webhook", P::WorkspaceManage, |s, r| Box::pin(webhooks::update_webhook::handle(s, r)))
        .routes(&["PATCH /webhooks/{webhook_id}"])
        .body()
        .doc(webhooks::update_webhook::doc),
    Operation::admin("delete-webhook", P::WorkspaceManage, |s, r| Box::pin(webhooks::delete_webhook::handle(s, r)))
        .routes(&["DELETE /webhooks/{webhook_id}"])
        .doc(webhooks::delete_webhook::doc),
    Operation::admin("rotate-webhook-secret", P::WorkspaceManage, |s, r| {
        Box::pin(webhooks::rotate_webhook_secret::handle(s, r))
    })
    .routes(&["POST /webhooks/{webhook_id}/rotate-secret"])
    .doc(webhooks::rotate_webhook_secret::doc),
    Operation::admin("list-deliveries", P::WorkspaceManage, |s, r| Box::pin(webhooks::list_deliveries::handle(s, r)))
        .routes(&["GET /webhooks/{webhook_id}/deliveries"])
        .query()
        .doc(webhooks::list_deliveries::doc),
    Operation::admin("redeliver", P::WorkspaceManage, |s, r| Box::pin(webhooks::redeliver::handle(s, r)))
        .routes(&["POST /webhooks/{webhook_id}/deliveries/{event_id}/redeliver"])
        .doc(webhooks::redeliver::doc),
    // access
    Operation::admin("get-workspace", P::UsersRead, |s, r| Box::pin(access::get_workspace::handle(s, r)))
        .routes(&["GET /workspace"])
        .doc(access::get_workspace::doc),
    Operation::admin("update-workspace", P::WorkspaceManage, |s, r| Box::pin(access::update_workspace::handle(s, r)))
        .routes(&["PATCH /workspace"])
        .body()
        .doc(access::update_workspace::doc),
    Operation::admin("list-events", P::EventsRead, |s, r| Box::pin(access::list_events::handle(s, r)))
        .routes(&["GET /events"])
        .query()
        .doc(access::list_events::doc),
    Operation::admin("create-key", P::WorkspaceManage, |s, r| Box::pin(access::create_key::handle(s, r)))
        .routes(&["POST /keys"])
        .body()
        .doc(access::create_key::doc),
    Operation::admin("list-keys", P::WorkspaceManage, |s, r| Box::pin(access::list_keys::handle(s, r)))
        .routes(&["GET /keys"])
        .query()
        .doc(access::list_keys::doc),
    Operation::admin("revoke-key", P::WorkspaceManage, |s, r| Box::pin(access::revoke_key::handle(s, r)))
        .routes(&["DELETE /keys/{key_id}"])
        .doc(access::revoke_key::doc),
    Operation::admin("add-member", P::WorkspaceManage, |s, r| Box::pin(access::add_member::handle(s, r)))
        .routes(&["POST /members"])
        .body()
        .doc(access::add_member::doc),
    Operation::admin("list-members", P::WorkspaceManage, |s, r| Box::pin(access::list_members::handle(s, r)))
        .routes(&["GET /members"])
        .query()
        .doc(access::list_members::doc),
    Operation::admin("remove-member", P::WorkspaceManage, |s, r| Box::pin(access::remove_member::handle(s, r)))
        .routes(&["DELETE /members/{member_id}"])
        .query()
        .doc(access::remove_member::doc),
    Operation::signed_in("list-memberships", |s, r| Box::pin(access::list_memberships::handle(s, r)))
        .routes(&["GET /memberships"])
        .query()
        .doc(access::list_memberships::doc),
    Operation::signed_in("accept-membership", |s, r| Box::pin(access::accept_membership::handle(s, r)))
        .routes(&["POST /memberships/{workspace_id}/accept"])
        .doc(access::accept_membership::doc),
    Operation::signed_in("decline-membership", |s, r| Box::pin(access::decline_membership::handle(s, r)))
        .routes(&["DELETE /memberships/{workspace_id}"])
        .doc(access::decline_membership::doc),
    Operation::person("create-token", |s, r| Box::pin(access::create_token::handle(s, r)))
        .routes(&["POST /tokens"])
        .body()
        .doc(access::create_token::doc),
    Operation::person("list-tokens", |s, r| Box::pin(access::list_tokens::handle(s, r)))
        .routes(&["GET /tokens"])
        .query()
        .doc(access::list_tokens::doc),
    Operation::person("revoke-token", |s, r| Box::pin(access::revoke_token::handle(s, r)))
        .routes(&["DELETE /tokens/{token_id}"])
        .doc(access::revoke_token::doc),
    Operation::admin("list-member-tokens", P::WorkspaceManage, |s, r| {
        Box::pin(access::list_member_tokens::handle(s, r))
    })
    .routes(&["GET /members/{member_id}/tokens"])
    .query()
    .doc(access::list_member_tokens::doc),
    Operation::admin("revoke-member-token", P::WorkspaceManage, |s, r| {
        Box::pin(access::revoke_member_token::handle(s, r))
    })
    .routes(&["DELETE /members/{member_id}/tokens/{token_id}"])
    .doc(access::revoke_member_token::doc),
    Operation::internal("create-workspace", |s, r| Box::pin(access::create_workspace::handle(s, r))),
    // pages
    Operation::public("app-links", |s, r| Box::pin(pages::app_links::handle(s, r)))
        .routes(&["GET /.well-known/assetlinks.json", "GET /.well-known/apple-app-site-association"])
        .doc(pages::app_links::doc),
    Operation::public("get-openapi", |s, r| Box::pin(pages::get_openapi::handle(s, r)))
        .routes(&["GET /openapi.json"])
        .doc(pages::get_openapi::doc),
    Operation::public("get-docs", |s, r| Box::pin(pages::get_docs::handle(s, r)))
        .routes(&["GET /docs"])
        .doc(pages::get_docs::doc),
    Operation::public("not-found", |s, r| Box::pin(pages::not_found::handle(s, r))),
    // triggers
    Operation::internal("publish-events", |s, r| Box::pin(triggers::publish_events::handle(s, r))),
    Operation::internal("derive-rows", |s, r| Box::pin(triggers::derive_rows::handle(s, r))),
    Operation::internal("republish-events", |s, r| Box::pin(triggers::republish_events::handle(s, r))),
    Operation::internal("reindex", |s, r| Box::pin(triggers::reindex::handle(s, r))),
    Operation::internal("notify-device", |s, r| Box::pin(triggers::notify_device::handle(s, r))),
    Operation::internal("send-message", |s, r| Box::pin(triggers::send_message::handle(s, r))),
    Operation::internal("deliver-webhook", |s, r| Box::pin(triggers::deliver_webhook::handle(s, r))),
    Operation::internal("record-feedback", |s, r| Box::pin(triggers::record_feedback::handle(s, r))),
    Operation::internal("run-due", |s, r| Box::pin(triggers::run_due::handle(s, r))),
    Operation::internal("purge-deleted", |s, r| Box::pin(triggers::purge_deleted::handle(s, r))),
    Operation::internal("refresh-issuer-keys", |s, r| Box::pin(triggers::refresh_issuer_keys::handle(s, r))),
];
