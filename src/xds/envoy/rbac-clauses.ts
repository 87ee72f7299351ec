import type { Matches } from "../../registry/model/proxy-policies.ts";
import type { envoy } from "./message.ts";

/** Something that Envoy looks at for each request or connection; true or false if that is known before. */
export type Clause<M> = M | boolean;

/** How one of Envoy's kinds of matchers is put together. */
export interface Connectives<M> {
  readonly and: (clauses: M[]) => M;
  readonly or: (clauses: M[]) => M;
  readonly not: (clause: M) => M;
}

/** Puts matchers together, leaving out what is known: Envoy is asked nothing whose answer we have. */
export class Clauses<M extends object> {
  readonly #connectives: Connectives<M>;

  constructor(connectives: Connectives<M>) {
    this.#connectives = connectives;
  }

  /** True of none. */
  every(clauses: readonly Clause<M>[]): Clause<M> {
    if (clauses.includes(false)) return false;
    const open = clauses.filter((clause) => typeof clause !== "boolean");
    return open.length === 0 ? true : open.length === 1 ? open[0]! : this.#connectives.and(open);
  }

  /** False of none. */
  some(clauses: readonly Clause<M>[]): Clause<M> {
    if (clauses.includes(true)) return true;
    const open = clauses.filter((clause) => typeof clause !== "boolean");
    return open.length === 0 ? false : open.length === 1 ? open[0]! : this.#connectives.or(open);
  }

  not(clause: Clause<M>): Clause<M> {
    return typeof clause === "boolean" ? !clause : this.#connectives.not(clause);
  }

  /** Any of the values and none of the others; what nobody asked for holds. */
  matches<V>(match: Matches<V> | undefined, one: (value: V) => Clause<M>): Clause<M> {
    if (match === undefined) return true;
    const wanted = match.values.length === 0 || this.some(match.values.map(one));
    return this.every([wanted, this.not(this.some(match.notValues.map(one)))]);
  }
}

export type Principal = envoy.config.rbac.v3.Principal.$Properties;
export type Permission = envoy.config.rbac.v3.Permission.$Properties;

/** Who calls. */
export const principals = new Clauses<Principal>({
  and: (ids) => ({ andIds: { ids } }),
  or: (ids) => ({ orIds: { ids } }),
  not: (notId) => ({ notId }),
});

/** What is asked for. */
export const permissions = new Clauses<Permission>({
  and: (rules) => ({ andRules: { rules } }),
  or: (rules) => ({ orRules: { rules } }),
  not: (notRule) => ({ notRule }),
});
