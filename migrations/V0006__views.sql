-- Readable names for psql and Grafana.

CREATE OR REPLACE VIEW samples AS
SELECT m."time", n.node_id, n.country, n.region, NULLIF(s.target_host, '') AS target_host,
       s.probe_type, m.latency_ms, m.uptime_pct, m.packet_loss, m.metadata
FROM metrics m
JOIN series s USING (series_key)
JOIN nodes n ON n.node_key = m.node_key;

DO $$
DECLARE
    level text;
BEGIN
    FOREACH level IN ARRAY ARRAY['1m', '1h', '1d'] LOOP
        EXECUTE format('CREATE OR REPLACE VIEW node_%s AS
            SELECT r.bucket AS "time", n.node_id, n.country, n.region,
                   NULLIF(s.target_host, '''') AS target_host, s.probe_type,
                   r.count, r.latency_sum / NULLIF(r.latency_count, 0) AS latency_avg_ms,
                   r.latency_min AS latency_min_ms, r.latency_max AS latency_max_ms,
                   r.p50 AS p50_ms, r.p95 AS p95_ms, r.p99 AS p99_ms,
                   r.loss_sum / r.count AS packet_loss, r.uptime_sum / r.count AS uptime_pct
            FROM rollup_%s r JOIN series s USING (series_key) JOIN nodes n ON n.node_key = r.node_key',
            level, level);
    END LOOP;
END $$;
