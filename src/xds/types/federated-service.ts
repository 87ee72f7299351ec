import Long from "long";
import { causeway } from "../../../proto/gen/mesh.js";
import { clusterId, isClusterId } from "../../names.ts";
import {
  type FederatedPort,
  type FederatedService,
  type FederatedWaypoint,
  federatedKey,
} from "../../registry/model/federated-service.ts";
import { FSDS_TYPE, type Resource } from "../resource.ts";
import { contentVersion, toResource } from "../wire.ts";
import * as check from "./field-checks.ts";

const wire = causeway.peering;

const SCOPES = { global: wire.Scope.GLOBAL, segment: wire.Scope.SEGMENT } as const;
const WAYPOINT_POLICIES = {
  once: wire.WaypointPolicy.ONCE,
  source: wire.WaypointPolicy.SOURCE,
  destination: wire.WaypointPolicy.DESTINATION,
  both: wire.WaypointPolicy.BOTH,
} as const;

/** What one record may hold; both ends keep to it, so that what is too large shows where it was written. */
const LIMITS = {
  bytes: 256 * 1024,
  ports: 512,
  identities: 1024,
  localities: 1024,
  /** Of labels, and of annotations. */
  attributes: 64,
  attributeCharacters: 4096,
} as const;
const ENDPOINTS_MAX = 2 ** 31;

/** A record of FSDS, and when its exporter encoded it: wall time in milliseconds of the exporter, 0 if it did not say. */
export interface DecodedFederatedService {
  readonly service: FederatedService;
  readonly changedMs: number;
}

/**
 * A shared service as peers get it, under `cluster/namespace/name`. The version is a hash of all but `changedMs`: replicas
 * agree on it, and so does a control plane that starts anew.
 * @throws MeshError `invalid`, naming the field.
 */
export function encodeFederatedService(service: FederatedService, changedMs: number): Resource {
  checkService(service);
  const { waypoint, distribution, labels, annotations, scope, waypointPolicy, createdMs, ...same } = service;
  const content = wire.FederatedService.encode({
    ...same,
    ports: [...same.ports],
    identities: [...same.identities],
    localities: [...same.localities],
    scope: SCOPES[scope],
    waypointPolicy: WAYPOINT_POLICIES[waypointPolicy],
    waypoint: waypoint ?? null,
    distribution: distribution ?? "",
    labels: Object.fromEntries(labels),
    annotations: Object.fromEntries(annotations),
    createdMs: Long.fromNumber(createdMs),
  }).finish();
  // Messages that follow each other are one message.
  const stamped = Buffer.concat([
    content,
    wire.FederatedService.encode({ changedMs: Long.fromNumber(changedMs) }).finish(),
  ]);
  return toResource(FSDS_TYPE, federatedKey(service), stamped, contentVersion(content));
}

/**
 * Takes nothing on trust but the meaning: sizes, counts and characters are bounded, and what is unknown is refused.
 * Whether the peer may say it is for its reader to decide.
 * @throws MeshError `invalid`, naming the field.
 */
export function decodeFederatedService(body: Uint8Array): DecodedFederatedService {
  const message = check.decodeBounded("FederatedService", body, LIMITS.bytes, () => wire.FederatedService.decode(body));
  const service: FederatedService = {
    cluster: clusterId(message.cluster),
    namespace: message.namespace,
    name: message.name,
    scope: check.nameOf(SCOPES, message.scope, "scope"),
    segment: message.segment,
    ports: message.ports.map(toPort),
    ready: message.ready,
    total: message.total,
    identities: message.identities,
    localities: message.localities.map(({ region, zone, ready }) => ({
      region: region ?? "",
      zone: zone ?? "",
      ready: ready ?? 0,
    })),
    waypoint: toWaypoint(message.waypoint),
    waypointPolicy: check.nameOf(WAYPOINT_POLICIES, message.waypointPolicy, "waypoint_policy"),
    takeover: message.takeover,
    distribution: message.distribution === "" ? undefined : message.distribution,
    labels: byKey(message.labels),
    annotations: byKey(message.annotations),
    createdMs: message.createdMs.toNumber(),
  };
  checkService(service);
  const changedMs = check.checkWhole(message.changedMs.toNumber(), "changed_ms", 0, Number.MAX_SAFE_INTEGER);
  return { service, changedMs };
}

function toPort({ number, name, protocol, targetPort }: causeway.peering.IFederatedPort): FederatedPort {
  return { number: number ?? 0, name: name ?? "", protocol: protocol ?? "", targetPort: targetPort ?? 0 };
}

function toWaypoint(waypoint: causeway.peering.IFederatedWaypoint | null | undefined): FederatedWaypoint | undefined {
  if (waypoint === null || waypoint === undefined) return undefined;
  return { namespace: waypoint.namespace ?? "", name: waypoint.name ?? "", identity: waypoint.identity ?? "" };
}

const byKey = (map: Readonly<Record<string, string>>): readonly (readonly [string, string])[] =>
  Object.entries(map).sort(([a], [b]) => (a < b ? -1 : 1));

function checkService(service: FederatedService): void {
  const { cluster, ports, ready, total, waypoint } = service;
  if (!isClusterId(cluster)) throw check.badField("cluster", cluster, "it must be a name of a cluster");
  check.checkLabel(service.namespace, "namespace");
  check.checkLabel(service.name, "name");
  check.checkSegmentOfKey(service.segment, "segment");
  check.checkCount(ports, "ports", LIMITS.ports);
  ports.forEach((port, at) => checkPort(port, `ports[${at}]`));
  check.checkDistinct(ports, "ports", ({ number }) => number);
  check.checkWhole(total, "total", 0, ENDPOINTS_MAX);
  check.checkWhole(ready, "ready", 0, total);
  check.checkCount(service.identities, "identities", LIMITS.identities);
  service.identities.forEach((identity, at) => check.checkSpiffeId(identity, `identities[${at}]`));
  checkLocalities(service);
  if (waypoint !== undefined) checkWaypoint(waypoint);
  check.checkText(service.distribution ?? "", "distribution");
  checkAttributes(service.labels, "labels");
  checkAttributes(service.annotations, "annotations");
  check.checkWhole(service.createdMs, "created_ms", 0, Number.MAX_SAFE_INTEGER);
}

function checkPort(port: FederatedPort, field: string): void {
  check.checkWhole(port.number, `${field}.number`, 1, 65535);
  check.checkWhole(port.targetPort, `${field}.target_port`, 0, 65535);
  check.checkText(port.name, `${field}.name`);
  check.checkText(port.protocol, `${field}.protocol`);
}

function checkLocalities({ localities, ready: most }: FederatedService): void {
  check.checkCount(localities, "localities", LIMITS.localities);
  localities.forEach(({ region, zone, ready }, at) => {
    check.checkText(region, `localities[${at}].region`);
    check.checkText(zone, `localities[${at}].zone`);
    check.checkWhole(ready, `localities[${at}].ready`, 0, most);
  });
}

function checkWaypoint({ namespace, name, identity }: FederatedWaypoint): void {
  check.checkObjectName(namespace, "waypoint.namespace");
  check.checkObjectName(name, "waypoint.name");
  check.checkSpiffeId(identity, "waypoint.identity");
}

function checkAttributes(attributes: readonly (readonly [string, string])[], field: string): void {
  check.checkCount(attributes, field, LIMITS.attributes);
  for (const [key, value] of attributes) {
    check.checkText(key, `a key of ${field}`, 317);
    check.checkText(value, `${field}.${key}`, LIMITS.attributeCharacters);
  }
}
