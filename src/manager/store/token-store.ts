import { MeshError, messageOf } from "../../errors.ts";
import type { EpochMs, Host } from "../../host.ts";
import { isClusterId } from "../../names.ts";
import type { TokenBook, TokenRecord, TokenUse } from "../../relay/enrollment.ts";
import { TOKEN_LIFETIME_MS_MAX } from "../../relay/token.ts";
import type { TrustStore } from "./store.ts";
import { rewritten } from "./rewritten.ts";

const PREFIX = "relay-token-";
/** How long a token that has ended is kept, so that whoever comes with it is told what became of it. */
const KEPT_MS = 86_400_000;
const SWEEP_MS = 3_600_000;

/** Bootstrap tokens as documents of the manager's store: their hashes, not what they are. */
export class TokenStore implements TokenBook {
  readonly #store: TrustStore;

  constructor(store: TrustStore) {
    this.#store = store;
  }

  async add(record: TokenRecord): Promise<void> {
    await this.#store.write(PREFIX + record.id, documentOf(record), undefined);
  }

  async find(id: string): Promise<TokenRecord | undefined> {
    const found = await this.#store.read(PREFIX + id);
    return found && this.#record(id, found.data);
  }

  redeem(id: string, use: TokenUse): Promise<TokenUse | undefined> {
    return rewritten(this.#store, PREFIX + id, (data) => {
      const record = data && this.#record(id, data);
      if (record === undefined || record.revokedAt !== undefined) return { answer: undefined };
      if (record.use !== undefined) return { answer: record.use };
      return { answer: use, data: documentOf({ ...record, use }) };
    });
  }

  revoke(id: string, at: EpochMs): Promise<void> {
    return rewritten(this.#store, PREFIX + id, (data) => {
      const record = data && this.#record(id, data);
      if (record === undefined || record.revokedAt !== undefined) return { answer: undefined };
      return { answer: undefined, data: documentOf({ ...record, revokedAt: at }) };
    });
  }

  async list(): Promise<readonly TokenRecord[]> {
    const names = await this.#store.names(PREFIX);
    const found = await Promise.all(names.map((name) => this.find(name.slice(PREFIX.length))));
    return found.filter((record) => record !== undefined);
  }

  /** Removes those that ended over a day ago. @throws MeshError `unavailable` */
  async sweep(now: EpochMs): Promise<void> {
    for (const { id, expiresAt } of await this.list())
      if (now - expiresAt > KEPT_MS) await this.#store.remove(PREFIX + id);
  }

  /** Sweeps now and every hour. */
  keepSwept({ clock, log }: Host): Disposable {
    let timer: Disposable;
    const sweep = (): void => {
      timer = clock.after(SWEEP_MS, sweep);
      this.sweep(clock.now()).catch((thrown: unknown) =>
        log.scope("trust").warn("bootstrap tokens that have ended were not removed", { why: messageOf(thrown) }),
      );
    };
    sweep();
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }

  #record(id: string, data: ReadonlyMap<string, string>): TokenRecord {
    const [cluster = "", hash = ""] = [data.get("cluster"), data.get("hash")];
    const [createdAt, expiresAt] = [timeOf(data.get("created")), timeOf(data.get("expires"))];
    if (!isClusterId(cluster) || !/^[0-9a-f]{64}$/.test(hash) || createdAt === undefined || expiresAt === undefined)
      throw new MeshError(
        "invalid",
        `${this.#store.titleOf(PREFIX + id)} is no bootstrap token of ours; remove it and make a new one with causeway trust token`,
      );
    const usedAt = timeOf(data.get("used-at"));
    return {
      id,
      cluster,
      hash,
      createdAt,
      // Whoever can write here could make one that never ends.
      expiresAt: Math.min(expiresAt, createdAt + TOKEN_LIFETIME_MS_MAX),
      use:
        usedAt === undefined
          ? undefined
          : { at: usedAt, from: data.get("used-from") ?? "", key: data.get("used-key") ?? "" },
      revokedAt: timeOf(data.get("revoked")),
    };
  }
}

const documentOf = ({
  cluster,
  hash,
  createdAt,
  expiresAt,
  use,
  revokedAt,
}: TokenRecord): ReadonlyMap<string, string> =>
  new Map([
    ["cluster", cluster],
    ["hash", hash],
    ["created", iso(createdAt)],
    ["expires", iso(expiresAt)],
    ...(use === undefined
      ? []
      : ([
          ["used-at", iso(use.at)],
          ["used-from", use.from],
          ["used-key", use.key],
        ] as const)),
    ...(revokedAt === undefined ? [] : ([["revoked", iso(revokedAt)]] as const)),
  ]);

const iso = (time: EpochMs): string => new Date(time).toISOString();

function timeOf(text: string | undefined): EpochMs | undefined {
  const time = Date.parse(text ?? "");
  return Number.isNaN(time) ? undefined : time;
}
