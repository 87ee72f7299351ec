/** An entry of SPIRE as a test writes it; its parent is the agent of the site's node unless it says otherwise. */
export interface SiteEntry {
  readonly spiffeId: string;
  /** As `k8s:ns:shop`. */
  readonly selectors: readonly string[];
  readonly parentId?: string;
  readonly admin?: boolean;
  readonly downstream?: boolean;
  readonly dnsNames?: readonly string[];
}

/** A SPIRE server and the agent of one node beside it: real ones, or those of the demo. */
export interface SpireSite {
  /** As `SPIRE 1.15.3`. */
  readonly name: string;
  readonly trustDomain: string;
  /** Of the agent, with its scheme. */
  readonly agentId: string;
  /** As `--spire-server` takes it: the port for admins. */
  readonly server: string;
  /** As `--spire-server` takes it: the socket, which asks nobody who they are. */
  readonly serverSocket: string;
  /** As `--spire-agent` takes it: the Workload API for a Causeway. */
  readonly agent: string;
  /** Path of the socket of the DelegatedIdentity API. */
  readonly adminSocket: string;
  /** @returns its id. */
  addEntry(entry: SiteEntry): Promise<string>;
  /** As many entries for identities that nobody asks for, under the same agent, as one call takes seconds for. */
  addMany(): Promise<number>;
  removeEntry(id: string): Promise<void>;
  /** How many there are. */
  countEntries(): Promise<number>;
  /** PEM of what verifies its identities now. */
  roots(): Promise<string>;
  /** Signs under a new root from now on. The old one stays in the bundle. */
  rotate(): Promise<void>;
  stopServer(): Promise<void>;
  startServer(): Promise<void>;
  stopAgent(): Promise<void>;
  startAgent(): Promise<void>;
  close(): Promise<void>;
}

/** For identities that nobody asks for. */
export const manyEntries = (
  { trustDomain, agentId }: Pick<SpireSite, "trustDomain" | "agentId">,
  count: number,
): readonly Required<Pick<SiteEntry, "spiffeId" | "selectors" | "parentId">>[] =>
  Array.from({ length: count }, (_, at) => ({
    spiffeId: `spiffe://${trustDomain}/ns/many/sa/account-${at}`,
    parentId: agentId,
    selectors: ["k8s:ns:many", `k8s:sa:account-${at}`],
  }));
