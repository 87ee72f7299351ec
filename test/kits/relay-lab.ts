import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { newCsr } from "../../src/ca/client.ts";
import { trustFolder } from "../../src/commands/trust-store.ts";
import { FolderStore } from "../../src/manager/store/folder-store.ts";
import { openRelayBooks, type RelayBooks } from "../../src/manager/store/relay-books.ts";
import { type ClusterId, clusterId } from "../../src/names.ts";
import { toPem } from "../../src/pem.ts";
import { type ServedRelay, serveRelay } from "../../src/relay/service.ts";
import { newToken } from "../../src/relay/token.ts";
import { realHost } from "./real-host.ts";
import { type ClientPair, pinnedRoot, RelayClient, type Tap } from "./relay-client.ts";
import { TestDesk } from "./relay-desk.ts";

/** A trust manager's relay on loopback, over real TLS, with a store in a folder of its own. */
export class RelayLab implements AsyncDisposable {
  readonly desk: TestDesk;
  readonly host: ReturnType<typeof realHost>;
  readonly store: FolderStore;
  readonly books: RelayBooks;
  readonly port: number;
  readonly #served: ServedRelay;
  /** Its state folder, for commands. */
  readonly folder: string;
  readonly #clients: RelayClient[] = [];

  private constructor(
    host: ReturnType<typeof realHost>,
    folder: string,
    books: RelayBooks,
    desk: TestDesk,
    served: ServedRelay,
  ) {
    this.host = host;
    this.store = new FolderStore(trustFolder(folder));
    this.books = books;
    this.desk = desk;
    this.#served = served;
    this.port = served.port;
    this.folder = folder;
  }

  static async open(registered: readonly string[] = ["east"]): Promise<RelayLab> {
    const host = realHost();
    const folder = await mkdtemp(join(tmpdir(), "causeway-relay-"));
    const books = await openRelayBooks(host, new FolderStore(trustFolder(folder)));
    const desk = new TestDesk();
    for (const name of registered) desk.registered.add(clusterId(name));
    const { authority, tokens, certificates } = books;
    const at = { address: "127.0.0.1", port: 0, names: ["127.0.0.1", "localhost"] };
    const served = await serveRelay(host, at, { desk, authority, tokens, certificates });
    return new RelayLab(host, folder, books, desk, served);
  }

  /** The relay's root, in PEM. */
  get root(): string {
    return toPem("CERTIFICATE", this.books.authority.roots[0]!);
  }

  /** As `causeway trust token` makes one. */
  async token(name: string, lifeMs = 3_600_000): Promise<string> {
    const { clock, random } = this.host;
    const cluster = clusterId(name);
    const { rootSha256 } = this.books.authority;
    const now = clock.now();
    const { text, id, hash, expiresAt } = newToken(random, { cluster, rootSha256, expiresAt: now + lifeMs });
    const createdAt = Math.min(now, expiresAt - 1);
    await this.books.tokens.add({ id, cluster, hash, createdAt, expiresAt, use: undefined, revokedAt: undefined });
    return text;
  }

  client(pair?: ClientPair, tap?: Tap, roots = this.root): RelayClient {
    const client = new RelayClient(this.port, roots, pair, tap);
    this.#clients.push(client);
    return client;
  }

  /** A cluster as it is once it has enrolled, which it does by nothing but its token. */
  async enrolled(name: string, tap?: Tap): Promise<ClientPair & { readonly cluster: ClusterId }> {
    const cluster = clusterId(name);
    const token = await this.token(name);
    const { csr, privateKey } = newCsr();
    const root = await pinnedRoot(this.port, this.books.authority.rootSha256);
    const { chain } = await this.client(undefined, tap, root).enroll({ token, cluster, csr, clock: Date.now() });
    const key = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    return { cluster, chain: chain.join(""), key };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client[Symbol.dispose]();
    await this.#served.close(0);
    this.books.close();
    await rm(this.folder, { recursive: true, force: true });
  }
}
