import Long from "long";
import { envoy, type google } from "../../../proto/gen/mesh.js";
import type { ClientStatus } from "../client-status.ts";
import { FSDS_TYPE, SGDS_TYPE, type SubscriptionStatus, TYPE_NAMES, type TypeUrl } from "../resource.ts";
import type { DebugResource } from "../wire.ts";

const status = envoy.service.status.v3;

/** A client's state as `istioctl proxy-status` reads it. */
export function encodeClientConfig(client: ClientStatus): DebugResource {
  const id = client.node?.id.split("~")[2] ?? client.id;
  const facts = {
    CLUSTER_ID: client.cluster,
    NAMESPACE: client.node?.metadata.get("NAMESPACE") ?? "",
    ISTIO_VERSION: client.node?.metadata.get("ISTIO_VERSION") ?? "",
  };
  const body = status.ClientConfig.encode({
    node: {
      id,
      metadata: {
        fields: Object.fromEntries(Object.entries(facts).map(([key, stringValue]) => [key, { stringValue }])),
      },
    },
    genericXdsConfigs: client.subscriptions.map(toGenericConfig),
  });
  return { name: id, typeUrl: "type.googleapis.com/envoy.service.status.v3.ClientConfig", body: body.finish() };
}

function toGenericConfig(subscription: SubscriptionStatus): envoy.service.status.v3.ClientConfig.IGenericXdsConfig {
  const { typeUrl, sentAt, lastRejection } = subscription;
  return {
    typeUrl: shownType(typeUrl),
    lastUpdated: toTimestamp(sentAt),
    configStatus: toConfigStatus(subscription),
    ...(lastRejection !== "" && { errorState: { lastUpdateAttempt: toTimestamp(sentAt), details: lastRejection } }),
  };
}

/** istioctl prints a type that it does not know as it is written; so peers' types go by their names. */
const shownType = (typeUrl: TypeUrl): string =>
  typeUrl === FSDS_TYPE || typeUrl === SGDS_TYPE ? TYPE_NAMES.get(typeUrl)! : typeUrl;

function toConfigStatus({ sentNonce, ackedNonce, lastRejection }: SubscriptionStatus): number {
  if (lastRejection !== "") return status.ConfigStatus.ERROR;
  if (sentNonce === "") return status.ConfigStatus.NOT_SENT;
  return sentNonce === ackedNonce ? status.ConfigStatus.SYNCED : status.ConfigStatus.STALE;
}

function toTimestamp(ms: number): google.protobuf.ITimestamp {
  return {
    seconds: Long.fromNumber(Math.floor(ms / 1000)),
    nanos: Math.floor(ms % 1000) * 1e6,
  };
}
