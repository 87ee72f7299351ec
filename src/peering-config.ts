import type { Environment, Options } from "./command.ts";
import { parseDurationMs } from "./duration.ts";
import { commaListOf, given, type Given, refuse, type Setting, setting, truthOf } from "./settings.ts";

const STALE_POLICIES = ["retain", "unhealthy", "remove"] as const;

/** All that settles how we read other control planes. */
export interface PeeringConfig {
  /** False: Gateways of class `istio-remote` open no links. */
  readonly enabled: boolean;
  /** For how long nothing changes for anybody when a peer is away. */
  readonly staleGraceMs: number;
  /** What becomes of what it said after that (contract peering.md 2.13). */
  readonly stalePolicy: (typeof STALE_POLICIES)[number];
  /** Whom the control planes of peers prove to be within their trust domains, as `istio-system/istiod`. */
  readonly accounts: readonly string[];
  /** True if a peer's certificate that names no identity may name `istiod.<system namespace>.svc` instead. */
  readonly dnsNameSuffices: boolean;
}

export const PEERING_SETTINGS = {
  enabled: { variable: "ENABLE_PEERING_DISCOVERY" },
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
} as const satisfies Readonly<Record<string, Setting>>;

/** @throws UsageError naming the flag or variable, its value and what would be right. */
export function loadPeeringConfig(options: Options, environment: Environment, systemNamespace: string): PeeringConfig {
  const read = <T>(name: keyof typeof PEERING_SETTINGS, parse: (value: Given) => T, otherwise: T): T => {
    const value = given(PEERING_SETTINGS[name], options, environment);
    return value === undefined ? otherwise : parse(value);
  };
  return {
    enabled: read("enabled", truthOf, true),
    staleGraceMs: read("staleGrace", graceOf, 1_800_000),
    stalePolicy: read("stalePolicy", policyOf, "retain"),
    accounts: read("accounts", accountsOf, [`${systemNamespace}/istiod`]),
    dnsNameSuffices: read("dnsNameSuffices", truthOf, false),
  };
}

function graceOf(value: Given): number {
  if (/^0(ms|s|m|h)?$/.test(value.text)) return 0;
  return parseDurationMs(value.text) ?? refuse(value, "give a duration, as 30m or 90s, or 0 for none");
}

function policyOf(value: Given): PeeringConfig["stalePolicy"] {
  const right = `use ${STALE_POLICIES.join(", ")}`;
  return STALE_POLICIES.find((policy) => policy === value.text) ?? refuse(value, right);
}

function accountsOf(value: Given): readonly string[] {
  const accounts = commaListOf(value);
  if (accounts.length > 0 && accounts.every((account) => /^[a-z0-9.-]+\/[a-z0-9.-]+$/.test(account))) return accounts;
  return refuse(value, "give namespace/service-account, with commas between, as istio-system/istiod");
}
