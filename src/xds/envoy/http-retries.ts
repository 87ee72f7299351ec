import type { RetryPolicy } from "../../registry/model/http-rule.ts";
import { durationOf, envoy, wrapped } from "./message.ts";

type EnvoyRetryPolicy = envoy.config.route.v3.RetryPolicy.$Properties;

/**
 * What nobody has seen may always be sent again: no connection came about, or its far end says that it did not begin.
 * What a caller may send twice itself, by its method, is sent again too if the connection ends without an answer: see
 * header-hygiene.ts.
 */
const UNSEEN = "connect-failure,refused-stream,reset-before-request";
/** An endpoint that has just gone is still known for a moment; three are not likely to go at once. */
const ATTEMPTS = 2;
/** Other endpoints are tried before those that have failed. */
const HOSTS_TRIED_MAX = 5;
const PREVIOUS_HOSTS = "type.googleapis.com/envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate";

export function retryPolicy(policy: RetryPolicy | undefined): EnvoyRetryPolicy {
  const { attempts = ATTEMPTS, codes = [], perTryTimeoutMs, backoffMs } = policy ?? {};
  return {
    retryOn: codes.length === 0 ? UNSEEN : `${UNSEEN},retriable-status-codes`,
    retriableStatusCodes: [...codes],
    numRetries: wrapped(attempts),
    ...(perTryTimeoutMs !== undefined && perTryTimeoutMs > 0 && { perTryTimeout: durationOf(perTryTimeoutMs) }),
    // Envoy waits up to ten times as long for later ones.
    ...(backoffMs !== undefined && backoffMs > 0 && { retryBackOff: { baseInterval: durationOf(backoffMs) } }),
    retryHostPredicate: [{ name: "previous-hosts", typedConfig: { type_url: PREVIOUS_HOSTS } }],
    hostSelectionRetryMaxAttempts: HOSTS_TRIED_MAX,
  };
}
