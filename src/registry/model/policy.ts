import type { PolicyName } from "../../names.ts";

/** An L4 policy as ztunnel evaluates it (contract ztunnel.md 3.6 and 6.7). */
export interface Policy {
  readonly key: PolicyName;
  readonly name: string;
  readonly namespace: string;
  /** Whom it binds: all, its namespace, or the workloads that list it. */
  readonly scope: "global" | "namespace" | "selector";
  readonly action: "allow" | "deny";
  /** Any rule that matches, matches; without rules nothing does. */
  readonly rules: readonly PolicyRule[];
  /** Logged, not enforced. */
  readonly dryRun: boolean;
}

/** Matches if all clauses do; without clauses it matches everything. */
export interface PolicyRule {
  readonly clauses: readonly PolicyClause[];
}

/** Matches if any match does; without matches it matches everything. */
export interface PolicyClause {
  readonly matches: readonly PolicyMatch[];
}

/**
 * All kinds present must match, any value of a kind does, and no negated value may.
 * A match with nothing in it never matches at ztunnel, so none is ever made.
 */
export interface PolicyMatch {
  readonly namespaces?: readonly StringMatch[];
  readonly notNamespaces?: readonly StringMatch[];
  /** Identities without `spiffe://`. */
  readonly principals?: readonly StringMatch[];
  readonly notPrincipals?: readonly StringMatch[];
  readonly sourceIps?: readonly Cidr[];
  readonly notSourceIps?: readonly Cidr[];
  readonly destinationIps?: readonly Cidr[];
  readonly notDestinationIps?: readonly Cidr[];
  readonly destinationPorts?: readonly number[];
  readonly notDestinationPorts?: readonly number[];
  readonly serviceAccounts?: readonly ServiceAccountMatch[];
  readonly notServiceAccounts?: readonly ServiceAccountMatch[];
}

export type StringMatch =
  { readonly kind: "exact" | "prefix" | "suffix"; readonly value: string } | { readonly kind: "presence" };

/** `ip` is canonical text, `prefixLength` in bits. */
export interface Cidr {
  readonly ip: string;
  readonly prefixLength: number;
}

export interface ServiceAccountMatch {
  readonly namespace: string;
  readonly serviceAccount: string;
}
