import type { EpochMs } from "../host.ts";
import type { ClientStatus } from "../xds/client-status.ts";
import { type SubscriptionStatus, TYPE_NAMES } from "../xds/resource.ts";

/** A client needs about a millisecond for a response; one that needs this long does not keep up. */
const STALE_MS = 10_000;

export type SyncState = "SYNCED" | "SYNCING" | "STALE" | "NOT SENT" | "NACKED";

/** One type of one client. Times are RFC 3339, empty if never. */
export interface TypeSync {
  /** As `WDS`. */
  readonly name: string;
  readonly type_url: string;
  readonly state: SyncState;
  readonly wildcard: boolean;
  readonly subscribed: number;
  readonly sent: string;
  readonly acked: string;
  readonly sent_at: string;
  readonly acked_at: string;
  /** Milliseconds since the last response was sent, by the clock of the control plane; -1 if never. */
  readonly sent_ms_ago: number;
  /** Why the client refused the last response; empty if it did not. */
  readonly last_error: string;
  readonly rejections: number;
  /** Names changed but not sent yet. */
  readonly backlog: number;
}

/** One client: istiod's field names, and `types`, which holds what istiod has a pair of fields for. */
export interface ClientSync {
  readonly proxy: string;
  readonly proxy_type: string;
  readonly cluster_id: string;
  readonly istio_version: string;
  readonly control_plane: string;
  readonly identity: string;
  readonly types: readonly TypeSync[];
}

export interface SyncOptions {
  readonly now: EpochMs;
  /** Who serves them, as `istiod-7d4b`. */
  readonly controlPlane: string;
}

/** Every client that has said who it is and asked for something. */
export function syncView(clients: readonly ClientStatus[], options: SyncOptions): readonly ClientSync[] {
  return clients.flatMap((client) => {
    const { node, identity, cluster, subscriptions } = client;
    if (node === undefined || subscriptions.length === 0) return [];
    const [type = "", , name = ""] = node.id.split("~");
    return [
      {
        proxy: name,
        proxy_type: type,
        cluster_id: cluster || (node.metadata.get("CLUSTER_ID") ?? ""),
        istio_version: node.metadata.get("ISTIO_VERSION") ?? "",
        control_plane: options.controlPlane,
        identity: identity === undefined ? "" : `${identity.namespace}/${identity.serviceAccount}`,
        types: subscriptions.map((subscription) => typeSync(subscription, options.now)),
      },
    ];
  });
}

function typeSync(subscription: SubscriptionStatus, now: EpochMs): TypeSync {
  const { typeUrl, wildcard, subscribed, rejections, backlog } = subscription;
  return {
    name: shortName(typeUrl),
    type_url: typeUrl,
    state: stateOf(subscription, now),
    wildcard,
    subscribed,
    sent: subscription.sentNonce,
    acked: subscription.ackedNonce,
    sent_at: timeText(subscription.sentAt),
    acked_at: timeText(subscription.ackedAt),
    sent_ms_ago: subscription.sentAt === 0 ? -1 : Math.max(0, now - subscription.sentAt),
    last_error: subscription.lastRejection,
    rejections,
    backlog,
  };
}

function stateOf(subscription: SubscriptionStatus, now: EpochMs): SyncState {
  const { sentNonce, ackedNonce, sentAt, lastRejection, backlog } = subscription;
  if (lastRejection !== "") return "NACKED";
  if (sentNonce === "") return "NOT SENT";
  if (sentNonce === ackedNonce) return backlog === 0 ? "SYNCED" : "SYNCING";
  return now - sentAt > STALE_MS ? "STALE" : "SYNCING";
}

const shortName = (typeUrl: string): string => TYPE_NAMES.get(typeUrl) ?? typeUrl.slice(typeUrl.lastIndexOf(".") + 1);

export const timeText = (at: EpochMs): string => (at === 0 ? "" : new Date(at).toISOString());
