import type { Environment, Options } from "./command.ts";
import { parseDurationMs } from "./duration.ts";
import { commaListOf, given, type Given, matching, refuse, type Setting, setting, truthOf } from "./settings.ts";

const SERVED_PEERS = ["any", "listed"] as const;
const OBJECT_MODES = ["off", "summary", "full"] as const;
/** As Kubernetes has them: a DNS name and a slash. */
const CONDITION_PREFIX = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?\/$/;
const STALE_POLICIES = ["retain", "unhealthy", "remove"] as const;

/** All that settles how we read other control planes, and which of them read us. */
export interface PeeringConfig {
  /** False: Gateways of class `istio-remote` open no links. */
  readonly enabled: boolean;
  /** Who may read what we share: every control plane that our roots verify, or whom a Gateway or a PeerGrant names. */
  readonly served: (typeof SERVED_PEERS)[number];
  /** For how long nothing changes for anybody when a peer is away. */
  readonly staleGraceMs: number;
  /** What becomes of what it said after that (contract peering.md 2.13). */
  readonly stalePolicy: (typeof STALE_POLICIES)[number];
  /** Whom the control planes of peers prove to be within their trust domains, as `istio-system/istiod`. */
  readonly accounts: readonly string[];
  /** True if a peer's certificate that names no identity may name `istiod.<system namespace>.svc` instead. */
  readonly dnsNameSuffices: boolean;
  /** A Namespace's label takes over the names of all that it shares, as a Service's does for itself. */
  readonly namespaceTakeover: boolean;
  /** Peers are told of single pods: always, never, or where a Gateway leads to a peer on our own network. */
  readonly flatPeering: "on" | "off" | "auto";
  /** What of peers is shown as objects of Kubernetes (contract peering.md 2.17). */
  readonly objects: (typeof OBJECT_MODES)[number];
  /** Before the types of the conditions of peers, as `gloo.solo.io/`; empty for none. */
  readonly conditionPrefix: string;
}

export const PEERING_SETTINGS = {
  enabled: { variable: "ENABLE_PEERING_DISCOVERY" },
  served: setting(
    "--serve-peers <which>",
    "any, or listed: which control planes that our roots verify may read what we share; any by default",
    "PEERING_SERVE",
  ),
  staleGrace: setting(
    "--peer-stale-grace <duration>",
    "what a peer that is away said stays as it was for this long; 30m by default",
    "PEERING_STALE_GRACE",
  ),
  stalePolicy: setting(
    "--peer-stale-policy <policy>",
    "what becomes of it then: retain, unhealthy or remove; retain by default",
    "PEERING_STALE_POLICY",
  ),
  accounts: setting(
    "--peer-accounts <list>",
    "namespace/account of peers' control planes, with commas between; istio-system/istiod by default",
    "PEERING_ACCOUNTS",
  ),
  dnsNameSuffices: { variable: "PEERING_ALLOW_DNS_NAME" },
  namespaceTakeover: { variable: "PEERING_NAMESPACE_TAKEOVER" },
  flatPeering: { variable: "PEERING_FLAT_NETWORK" },
  objects: { variable: "PEERING_KUBERNETES_OBJECTS" },
  conditionPrefix: { variable: "PEERING_CONDITION_PREFIX" },
} as const satisfies Readonly<Record<string, Setting>>;

/** @throws UsageError naming the flag or variable, its value and what would be right. */
export function loadPeeringConfig(options: Options, environment: Environment, systemNamespace: string): PeeringConfig {
  const read = <T>(name: keyof typeof PEERING_SETTINGS, parse: (value: Given) => T, otherwise: T): T => {
    const value = given(PEERING_SETTINGS[name], options, environment);
    return value === undefined ? otherwise : parse(value);
  };
  return {
    enabled: read("enabled", truthOf, true),
    // Who is verified has an authority of our own trust domain, or one that we were told to trust; and a link in one
    // direction needs no object on the side that serves (contract peering.md 2.1).
    served: read("served", servedOf, "any"),
    staleGraceMs: read("staleGrace", graceOf, 1_800_000),
    stalePolicy: read("stalePolicy", policyOf, "retain"),
    accounts: read("accounts", accountsOf, [`${systemNamespace}/istiod`]),
    dnsNameSuffices: read("dnsNameSuffices", truthOf, false),
    namespaceTakeover: read("namespaceTakeover", truthOf, false),
    flatPeering: read("flatPeering", (value) => (truthOf(value) ? "on" : "off"), "auto"),
    objects: read("objects", objectsOf, "summary"),
    // What `multicluster check` and people of the product look for.
    conditionPrefix: read("conditionPrefix", prefixOf, "gloo.solo.io/"),
  };
}

function servedOf(value: Given): PeeringConfig["served"] {
  const right = "use any, or listed: only clusters that a Gateway of class istio-remote or a PeerGrant names";
  return SERVED_PEERS.find((served) => served === value.text) ?? refuse(value, right);
}

function graceOf(value: Given): number {
  if (/^0(ms|s|m|h)?$/.test(value.text)) return 0;
  return parseDurationMs(value.text) ?? refuse(value, "give a duration, as 30m or 90s, or 0 for none");
}

function policyOf(value: Given): PeeringConfig["stalePolicy"] {
  const right = `use ${STALE_POLICIES.join(", ")}`;
  return STALE_POLICIES.find((policy) => policy === value.text) ?? refuse(value, right);
}

function objectsOf(value: Given): PeeringConfig["objects"] {
  return OBJECT_MODES.find((mode) => mode === value.text) ?? refuse(value, `use ${OBJECT_MODES.join(", ")}`);
}

const prefixOf = (value: Given): string =>
  matching(value, CONDITION_PREFIX, "give a DNS name and a slash, as gloo.solo.io/");

function accountsOf(value: Given): readonly string[] {
  const accounts = commaListOf(value);
  if (accounts.length > 0 && accounts.every((account) => /^[a-z0-9.-]+\/[a-z0-9.-]+$/.test(account))) return accounts;
  return refuse(value, "give namespace/service-account, with commas between, as istio-system/istiod");
}
