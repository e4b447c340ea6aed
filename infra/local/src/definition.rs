//! The API definition for API Gateway: each route with its function, as the section `paths` of an OpenAPI
//! document with Amazon's extensions. It is generated from the functions' routes in `template.yaml`, and
//! checked in as `infra/openapi/routes.json`, which the template includes.
//!
//! A function is named as text instead of a reference, and is called with the API's role: a reference would be
//! circular, since functions get the API's URL, and would need a permission for each route.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::template::{Route, Template};

/// The definition, with one path per line.
#[must_use]
pub fn definition(template: &Template) -> String {
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for function in &template.functions {
        for route in &function.routes {
            let (path, method) = match route {
                Route::On { method, path } if method == "ANY" => (path.clone(), ANY_METHOD.to_owned()),
                Route::On { method, path } => (path.clone(), method.to_lowercase()),
                Route::Default => ("/$default".to_owned(), ANY_METHOD.to_owned()),
            };
            let operation = operation(&function.operation, route, &path);
            paths.entry(path).or_default().insert(method, operation);
        }
    }
    let lines = paths.into_iter().map(|(path, methods)| format!("{}: {}", json!(path), Value::Object(methods)));
    format!("{{\n{}\n}}\n", lines.collect::<Vec<_>>().join(",\n"))
}

const ANY_METHOD: &str = "x-amazon-apigateway-any-method";

fn operation(name: &str, route: &Route, path: &str) -> Value {
    let function = format!(
        "arn:${{AWS::Partition}}:lambda:${{AWS::Region}}:${{AWS::AccountId}}:function:${{AWS::StackName}}-{name}"
    );
    let call = format!(
        "arn:${{AWS::Partition}}:apigateway:${{AWS::Region}}:lambda:path/2015-03-31/functions/{function}/invocations"
    );
    let mut operation = json!({
        "responses": {},
        "x-amazon-apigateway-integration": {
            "type": "aws_proxy",
            "httpMethod": "POST",
            "payloadFormatVersion": "2.0",
            "credentials": { "Fn::GetAtt": ["ApiRole", "Arn"] },
            "uri": { "Fn::Sub": call },
        },
    });
    let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}').map(|(name, _)| name));
    let parameters: Vec<Value> = names.map(|name| json!({ "name": name, "in": "path", "required": true })).collect();
    if !parameters.is_empty() {
        operation["parameters"] = parameters.into();
    }
    if *route == Route::Default {
        operation["isDefaultRoute"] = true.into();
    }
    operation
}
