import { status } from "@grpc/grpc-js";
import { spire } from "../../../proto/gen/mesh.js";
import { messageOf } from "../../errors.ts";
import { CallError, orFail } from "./call-error.ts";
import type { Entries, HeldEntry, NewEntry } from "./entries.ts";
import { selectorOf, toEntry, toMessage } from "./entry-message.ts";
import type { Faults } from "./faults.ts";
import { idOf, requireMember, requireWorkload, textOf, whyNoTrustDomain } from "./identity.ts";
import { pageOf } from "./page.ts";
import type { ServerMethod } from "./server-call.ts";
import type { SpireTrust } from "./trust.ts";

const { ALREADY_EXISTS, INTERNAL, INVALID_ARGUMENT, NOT_FOUND, OK } = status;
const { MATCH_ANY, MATCH_EXACT, MATCH_SUBSET, MATCH_SUPERSET } = spire.SelectorMatch.Behavior;
const WELL: spire.IStatus = { code: OK, message: "OK" };

/** Registration entries, as administrators list and change them (contract identity.md 1.5). */
export class EntryService {
  readonly #trustDomain: string;
  readonly #entries: Entries;
  readonly #trust: SpireTrust;
  readonly #faults: () => Faults;

  constructor(trustDomain: string, entries: Entries, trust: SpireTrust, faults: () => Faults) {
    this.#trustDomain = trustDomain;
    this.#entries = entries;
    this.#trust = trust;
    this.#faults = faults;
  }

  methods(): readonly ServerMethod[] {
    const method = (name: string, call: (request: Uint8Array) => Uint8Array): ServerMethod => ({
      path: `/spire.api.server.entry.v1.Entry/${name}`,
      roles: ["local", "admin"],
      call,
    });
    return [
      method("ListEntries", (bytes) => this.#list(bytes)),
      method("BatchCreateEntry", (bytes) => {
        const { entries } = spire.BatchCreateEntryRequest.decode(bytes);
        const results = entries.map((entry) => this.#create(entry));
        return spire.BatchCreateEntryResponse.encode({ results }).finish();
      }),
      method("BatchUpdateEntry", (bytes) => {
        const { entries, inputMask } = spire.BatchUpdateEntryRequest.decode(bytes);
        const results = entries.map((entry) => this.#update(entry, inputMask));
        return spire.BatchUpdateEntryResponse.encode({ results }).finish();
      }),
      method("BatchDeleteEntry", (bytes) => {
        const results = spire.BatchDeleteEntryRequest.decode(bytes).ids.map((id) => this.#delete(id));
        return spire.BatchDeleteEntryResponse.encode({ results }).finish();
      }),
    ];
  }

  #list(bytes: Uint8Array): Uint8Array {
    const { filter, outputMask, pageSize, pageToken } = spire.ListEntriesRequest.decode(bytes);
    const passes = this.#filter(filter ?? {});
    const page = pageOf(this.#entries.all().filter(passes), ({ id }) => id, { pageSize, pageToken }, this.#faults());
    const entries = page.items.map((entry) => toMessage(entry, outputMask));
    return spire.ListEntriesResponse.encode({ entries, nextPageToken: page.next }).finish();
  }

  #filter({ bySpiffeId, byParentId, bySelectors }: spire.IEntryFilter): (entry: HeldEntry) => boolean {
    const parentId = orFail(INVALID_ARGUMENT, "malformed parent ID filter", () =>
      isGiven(byParentId) ? textOf(requireMember(this.#trustDomain, idOf(byParentId))) : undefined,
    );
    const spiffeId = orFail(INVALID_ARGUMENT, "malformed SPIFFE ID filter", () =>
      isGiven(bySpiffeId) ? textOf(requireWorkload(this.#trustDomain, idOf(bySpiffeId))) : undefined,
    );
    const selected = orFail(INVALID_ARGUMENT, "malformed selectors filter", () =>
      isGiven(bySelectors) ? selectorFilter(bySelectors) : () => true,
    );
    return (entry) =>
      (parentId === undefined || entry.parentId === parentId) &&
      (spiffeId === undefined || entry.spiffeId === spiffeId) &&
      selected(entry.selectors);
  }

  #create(message: spire.IEntry): spire.IEntryResult {
    return answered("failed to convert entry", () => {
      const entry = toEntry(this.#trustDomain, message, undefined) as NewEntry;
      const known = this.#entries.similar(entry);
      if (known !== undefined)
        return {
          status: { code: ALREADY_EXISTS, message: "similar entry already exists" },
          entry: toMessage(known, undefined),
        };
      const id = message.id ?? "";
      // These two, SPIRE leaves to its database: no entry comes with them.
      if (this.#entries.get(id) !== undefined)
        return failed(ALREADY_EXISTS, "failed to create entry: UNIQUE constraint failed: registered_entries.entry_id");
      if (new Set(entry.selectors).size < entry.selectors.length)
        return failed(ALREADY_EXISTS, "failed to create entry: UNIQUE constraint failed: selectors");
      return this.#put("failed to create entry", { ...entry, id });
    });
  }

  #update(message: spire.IEntry, mask: spire.IEntryMask | null | undefined): spire.IEntryResult {
    return answered("failed to convert entry", () => {
      const said = toEntry(this.#trustDomain, message, mask);
      const before = this.#entries.get(message.id ?? "");
      if (before === undefined) return failed(NOT_FOUND, "failed to update entry");
      // Without a mask, what the message does not say is as it is by default.
      const kept = isGiven(mask) && mask.expiresAt !== true ? before : { ...before, expiresAt: undefined };
      return this.#put("failed to update entry", { ...kept, ...said, id: before.id });
    });
  }

  #put(headline: string, entry: NewEntry): spire.IEntryResult {
    const odd = (entry.federatesWith ?? []).find((name) => whyNoTrustDomain(name) !== undefined);
    if (odd !== undefined)
      return failed(
        INVALID_ARGUMENT,
        `failed to convert entry: invalid federated trust domain: ${whyNoTrustDomain(odd)}`,
      );
    const stranger = entry.federatesWith?.find((name) => !this.#trust.federated.has(name));
    if (stranger !== undefined)
      return failed(INTERNAL, `${headline}: unable to find federated bundle "spiffe://${stranger}"`);
    return { status: WELL, entry: toMessage(this.#entries.put(entry)[0]!, undefined) };
  }

  #delete(id: string): { readonly status: spire.IStatus; readonly id: string } {
    if (id === "") return { status: { code: INVALID_ARGUMENT, message: "missing entry ID" }, id };
    if (this.#entries.get(id) === undefined) return { status: { code: NOT_FOUND, message: "entry not found" }, id };
    this.#entries.remove(id);
    return { status: WELL, id };
  }
}

const isGiven = <T>(value: T | null | undefined): value is T => value !== null && value !== undefined;
const failed = (code: status, message: string): spire.IEntryResult => ({ status: { code, message } });

function answered(headline: string, task: () => spire.IEntryResult): spire.IEntryResult {
  try {
    return task();
  } catch (thrown) {
    if (thrown instanceof CallError) throw thrown;
    return failed(INVALID_ARGUMENT, `${headline}: ${messageOf(thrown)}`);
  }
}

/** Subset: an entry has no others than these. Superset: it has all of these. */
function selectorFilter({ selectors, match }: spire.ISelectorMatch): (held: readonly string[]) => boolean {
  const wanted = new Set((selectors ?? []).map(selectorOf));
  if (wanted.size === 0) throw new CallError(INVALID_ARGUMENT, "empty selector set");
  return (held) => {
    const all = [...wanted].every((selector) => held.includes(selector));
    const only = held.every((selector) => wanted.has(selector));
    switch (match ?? MATCH_EXACT) {
      case MATCH_EXACT:
        return all && only;
      case MATCH_SUBSET:
        return only;
      case MATCH_SUPERSET:
        return all;
      case MATCH_ANY:
        return held.some((selector) => wanted.has(selector));
      default:
        throw new CallError(INTERNAL, "failed to list entries: unhandled selectors match behavior");
    }
  };
}
