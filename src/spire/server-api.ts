import { spire } from "../../proto/gen/mesh.js";
import { MeshError } from "../errors.ts";
import type { Clock, Host } from "../host.ts";
import { Calls, type ServerStatus } from "./calls.ts";
import type { ServerTarget } from "./server-channel.ts";
import {
  agentOf,
  ASKED_MASK,
  bundleOf,
  ENTRY_MASK,
  entryMessage,
  entryOf,
  filterMessage,
  mintedOf,
  resultOf,
} from "./server-messages.ts";
import { METHODS } from "./server-method.ts";
import {
  type DownstreamCa,
  ENTRIES_AT_ONCE,
  type EntryFilter,
  type EntryResult,
  type MintedSvid,
  type SpireAgent,
  type SpireBundle,
  type SpireEntry,
  type SpireServer,
} from "./spire.ts";

/** A list that does not end is none: a million entries. */
const PAGES_MAX = 2_000;
/** What its first page said is old by then; nor may bundles of others keep us from our own for longer. */
const LIST_MS = { bundles: 60_000, others: 600_000 };
/** Bundles are larger than entries. */
const BUNDLES_AT_ONCE = 50;

interface Page<T> {
  readonly items: readonly T[];
  readonly next: string;
}

/** A SPIRE server over its socket, where we are its operator, or over mutual TLS, where we are what our entry says. */
export class GrpcSpireServer implements SpireServer {
  readonly #calls: Calls;
  readonly #clock: Clock;

  constructor(host: Host, target: ServerTarget) {
    this.#clock = host.clock;
    this.#calls = new Calls(host, target);
  }

  get status(): ServerStatus {
    return this.#calls.status;
  }

  /** What was sent is awaited, by whoever asked. */
  close(): void {
    this.#calls.close();
  }

  mint(csr: Uint8Array, ttlSeconds: number, signal: AbortSignal): Promise<MintedSvid> {
    const request = spire.MintX509SvidRequest.encode({ csr, ttl: ttlSeconds }).finish();
    const decode = (answer: Uint8Array): MintedSvid => mintedOf(spire.MintX509SvidResponse.decode(answer).svid);
    return this.#calls.call(METHODS.mint, request, decode, signal);
  }

  newDownstreamCa(csr: Uint8Array, preferredTtlSeconds: number): Promise<DownstreamCa> {
    const request = spire.NewDownstreamX509CaRequest.encode({ csr, preferredTtl: preferredTtlSeconds }).finish();
    return this.#calls.call(METHODS.newDownstreamCa, request, (answer) => {
      const { caCertChain, x509Authorities } = spire.NewDownstreamX509CaResponse.decode(answer);
      return { chain: caCertChain, authorities: x509Authorities };
    });
  }

  bundle(): Promise<SpireBundle> {
    const request = spire.GetBundleRequest.encode({}).finish();
    return this.#calls.call(METHODS.bundle, request, (answer) => bundleOf(spire.Bundle.decode(answer)));
  }

  async federatedBundles(): Promise<readonly SpireBundle[]> {
    const bundles: SpireBundle[] = [];
    for await (const page of this.#pages((token) => this.#federatedPage(token), LIST_MS.bundles)) bundles.push(...page);
    return bundles;
  }

  entries(filter: EntryFilter): AsyncIterable<readonly SpireEntry[]> {
    const wanted = filterMessage(filter);
    return this.#pages((pageToken) => this.#entriesPage(wanted, pageToken));
  }

  async agents(): Promise<readonly SpireAgent[]> {
    const agents: SpireAgent[] = [];
    for await (const page of this.#pages((pageToken) => this.#agentsPage(pageToken))) agents.push(...page);
    return agents;
  }

  async createEntries(entries: readonly SpireEntry[]): Promise<readonly EntryResult[]> {
    const request = spire.BatchCreateEntryRequest.encode({ entries: bounded(entries).map(entryMessage) }).finish();
    return this.#calls.call(METHODS.createEntries, request, (answer) => {
      const { results } = spire.BatchCreateEntryResponse.decode(answer);
      return oneForEach(entries, results, ({ status, entry }) => resultOf(status ?? {}, entry, "created"));
    });
  }

  async updateEntries(entries: readonly SpireEntry[]): Promise<readonly EntryResult[]> {
    const message = { entries: bounded(entries).map(entryMessage), inputMask: ENTRY_MASK };
    const request = spire.BatchUpdateEntryRequest.encode(message).finish();
    return this.#calls.call(METHODS.updateEntries, request, (answer) => {
      const { results } = spire.BatchUpdateEntryResponse.decode(answer);
      return oneForEach(entries, results, ({ status, entry }) => resultOf(status ?? {}, entry, "updated"));
    });
  }

  async deleteEntries(ids: readonly string[]): Promise<readonly EntryResult[]> {
    const request = spire.BatchDeleteEntryRequest.encode({ ids: [...bounded(ids)] }).finish();
    return this.#calls.call(METHODS.deleteEntries, request, (answer) => {
      const { results } = spire.BatchDeleteEntryResponse.decode(answer);
      return oneForEach(ids, results, ({ status }) => resultOf(status ?? {}, undefined, "deleted"));
    });
  }

  #entriesPage(filter: spire.IEntryFilter, pageToken: string): Promise<Page<SpireEntry>> {
    const message = { filter, outputMask: ASKED_MASK, pageSize: ENTRIES_AT_ONCE, pageToken };
    return this.#calls.call(METHODS.entries, spire.ListEntriesRequest.encode(message).finish(), (answer) => {
      const { entries, nextPageToken } = spire.ListEntriesResponse.decode(answer);
      return { items: entries.map(entryOf), next: nextPageToken };
    });
  }

  #agentsPage(pageToken: string): Promise<Page<SpireAgent>> {
    const request = spire.ListAgentsRequest.encode({ pageSize: ENTRIES_AT_ONCE, pageToken }).finish();
    return this.#calls.call(METHODS.agents, request, (answer) => {
      const { agents, nextPageToken } = spire.ListAgentsResponse.decode(answer);
      return { items: agents.map(agentOf), next: nextPageToken };
    });
  }

  #federatedPage(pageToken: string): Promise<Page<SpireBundle>> {
    const request = spire.ListFederatedBundlesRequest.encode({ pageSize: BUNDLES_AT_ONCE, pageToken }).finish();
    return this.#calls.call(METHODS.federatedBundles, request, (answer) => {
      const { bundles, nextPageToken } = spire.ListFederatedBundlesResponse.decode(answer);
      return { items: bundles.map(bundleOf), next: nextPageToken };
    });
  }

  async *#pages<T>(page: (token: string) => Promise<Page<T>>, ms = LIST_MS.others): AsyncGenerator<readonly T[]> {
    const seen = new Set<string>();
    const untilMs = this.#clock.elapsedMs() + ms;
    for (let token = ""; ;) {
      const { items, next } = await page(token);
      yield items;
      if (next === "") return;
      if (seen.has(next) || seen.size === PAGES_MAX)
        throw new MeshError("unavailable", `${this.status.server}: a list that does not end, or begins anew`);
      if (this.#clock.elapsedMs() >= untilMs)
        throw new MeshError("unavailable", `${this.status.server}: a list that has not ended within ${ms / 1000} s`);
      seen.add(next);
      token = next;
    }
  }
}

/** @throws RangeError for more than a server takes at once. */
function bounded<T>(items: readonly T[]): readonly T[] {
  if (items.length > ENTRIES_AT_ONCE)
    throw new RangeError(`${items.length} entries at once; at most ${ENTRIES_AT_ONCE}`);
  return items;
}

/** What became of whom is known by the order alone. */
function oneForEach<T, R>(asked: readonly unknown[], results: readonly T[], toResult: (result: T) => R): readonly R[] {
  if (results.length === asked.length) return results.map(toResult);
  throw new MeshError("unavailable", `SPIRE's server answered ${results.length} results for ${asked.length} entries`);
}
