import { createHash } from "node:crypto";
import { readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { MeshError, messageOf } from "../errors.ts";
import type { EpochMs, Host, Logger } from "../host.ts";
import { type ClusterId, isClusterId } from "../names.ts";
import { writeWhole } from "../whole-file.ts";
import type { SavedRecords } from "./import.ts";

const FORMAT = 1;
const SUFFIX = ".json";
const DAMAGED = ".damaged";
/** More is neither written nor read: it would hold up everybody while it is. */
const BYTES_MAX = 32 * 1024 * 1024;

/** What a peer last said, as a whole. */
export interface PeerSnapshot {
  /** When the peer last confirmed it. */
  readonly heardAt: EpochMs;
  readonly records: SavedRecords;
}

/**
 * What peers last said, a file for each: so that a restart during a partition takes nothing from the mesh (contract
 * peering.md 2.13). A disk that is full, or cannot be written, costs one warning and nothing else; a file that cannot be
 * believed is put aside, never served in part. No method rejects.
 */
export class SnapshotStore {
  readonly #log: Logger;
  readonly #folder: string;
  /** One after the other, by peer. */
  readonly #running = new Map<ClusterId, Promise<unknown>>();
  readonly #failing = new Set<ClusterId>();

  /** @param folder which one process has at a time. */
  constructor(host: Host, folder: string) {
    this.#log = host.log.scope("peering");
    this.#folder = folder;
  }

  /** Undefined if there is nothing that can be believed. */
  load(peer: ClusterId): Promise<PeerSnapshot | undefined> {
    return this.#next(peer, async () => {
      const path = this.#path(peer);
      try {
        if ((await stat(path)).size > BYTES_MAX) throw new MeshError("invalid", `it is larger than ${BYTES_MAX} bytes`);
        return snapshotIn(await readFile(path, "utf8"), peer);
      } catch (thrown) {
        if (isAbsent(thrown)) return undefined;
        this.#warn(peer, "what it last said cannot be read, and nothing is served of it until it answers", thrown);
        await rename(path, `${path}${DAMAGED}`).catch(() => undefined);
        return undefined;
      }
    });
  }

  save(peer: ClusterId, snapshot: PeerSnapshot): Promise<void> {
    return this.#next(peer, async () => {
      try {
        const text = textOf(snapshot, peer);
        if (text.length > BYTES_MAX)
          throw new MeshError("exhausted", `it has ${text.length} bytes; ${BYTES_MAX} are kept`);
        await writeWhole(this.#path(peer), text, 0o600);
        this.#failing.delete(peer);
      } catch (thrown) {
        if (!this.#failing.has(peer))
          this.#warn(peer, "its state cannot be saved; a restart would know an older one or none", thrown);
        this.#failing.add(peer);
      }
    });
  }

  /** The peer is gone for good. */
  forget(peer: ClusterId): Promise<void> {
    return this.#next(peer, async () => {
      try {
        for (const path of [this.#path(peer), `${this.#path(peer)}${DAMAGED}`]) await rm(path, { force: true });
      } catch (thrown) {
        this.#warn(peer, "what was saved of it cannot be removed; remove its file", thrown);
      }
    });
  }

  /** Forgets all others: those that left while nobody was here to see. */
  async keepOnly(peers: ReadonlySet<ClusterId>): Promise<void> {
    const names = await readdir(this.#folder).catch((): string[] => []);
    const known = names.flatMap((name) => /^(.*)\.json(\.damaged)?$/.exec(name)?.[1] ?? []);
    for (const peer of new Set(known)) if (isClusterId(peer) && !peers.has(peer)) await this.forget(peer);
  }

  /** Resolves once all that was asked for is done. */
  async settled(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  #next<T>(peer: ClusterId, task: () => Promise<T>): Promise<T> {
    const running = (this.#running.get(peer) ?? Promise.resolve()).then(task);
    this.#running.set(peer, running);
    void running.finally(() => this.#running.get(peer) === running && this.#running.delete(peer));
    return running;
  }

  #path(peer: ClusterId): string {
    return join(this.#folder, `${peer}${SUFFIX}`);
  }

  #warn(peer: ClusterId, what: string, thrown: unknown): void {
    this.#log.warn(`peer ${peer}: ${what}: ${messageOf(thrown)}`, { folder: this.#folder });
  }
}

/** A head that seals the rest, and the rest. */
function textOf({ heardAt, records }: PeerSnapshot, peer: ClusterId): string {
  const body = JSON.stringify({ heardAt, records });
  return `${JSON.stringify({ causeway: "peer-snapshot", format: FORMAT, peer, sha256: digestOf(body) })}\n${body}\n`;
}

/** @throws MeshError `invalid` for anything but what `textOf` wrote: its values are believed as they are. */
function snapshotIn(text: string, peer: ClusterId): PeerSnapshot {
  const [head = "", body = ""] = text.split("\n", 2);
  const { causeway, format, peer: of, sha256 } = JSON.parse(head) as Readonly<Record<string, unknown>>;
  if (causeway !== "peer-snapshot" || format !== FORMAT || of !== peer)
    throw new MeshError("invalid", `it is not of format ${FORMAT}, or of another peer`);
  if (sha256 !== digestOf(body)) throw new MeshError("invalid", "it is not what was written");
  return JSON.parse(body) as PeerSnapshot;
}

const digestOf = (body: string): string => createHash("sha256").update(body).digest("hex");
const isAbsent = (thrown: unknown): boolean => thrown instanceof Error && "code" in thrown && thrown.code === "ENOENT";
