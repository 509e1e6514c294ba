use leptos::prelude::*;

/// A command that sends one sample for a node to this very engine.
#[component]
pub(crate) fn SendSample(#[prop(into)] node_id: String) -> impl IntoView {
    let origin = location().origin().unwrap_or_default();
    let command = format!(
        "curl -X POST {origin}/api/push \\\n  -H \"Authorization: Bearer $FEDERATION_SECRET\" \\\n  \
         -H 'Content-Type: application/json' \\\n  -d '{{\"node_id\":\"{node_id}\",\"country\":\"GH\",\
         \"region\":\"Greater Accra\",\n       \"latency_ms\":42.5,\"uptime_pct\":100,\"packet_loss\":0,\n       \
         \"timestamp\":\"'$(date -u +%FT%TZ)'\",\n       \
         \"metadata\":{{\"city\":\"Accra\",\"lat\":5.6,\"lng\":-0.19}}}}'"
    );
    view! { <pre class="command" tabindex="0"><code>{command}</code></pre> }
}

/// Shown as long as no node was ever seen.
#[component]
pub(crate) fn FirstRun() -> impl IntoView {
    view! {
        <section class="panel first-run">
            <h2>"Send the first sample"</h2>
            <p>
                "The engine is serving and no probe has reported yet. This line sends one sample; \
                 the node appears here a moment later."
            </p>
            <SendSample node_id="accra-01"/>
        </section>
    }
}
