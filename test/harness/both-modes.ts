import { after, afterEach, before, describe, type TestContext } from "node:test";
import { type FakeProvider, startFakeProvider } from "./fake-provider.ts";
import { type Gateway, type GatewayMode, startGateway } from "./start-gateway.ts";

/** What the tests of a suite work with. The getters throw before the suite has started. */
export interface ModeContext {
  readonly mode: GatewayMode;
  readonly gateway: Gateway;
  /** The provider whose address the configuration got. */
  readonly provider: FakeProvider;
}

/** Runs one suite against one process with everything and against a process for each service. */
export function inBothModes(
  name: string,
  config: (provider: FakeProvider) => string,
  suite: (context: ModeContext) => void,
): void {
  inMode("embedded", name, config, suite);
  inMode("mesh", name, config, suite);
}

/** Runs a suite against one gateway, which all its tests share. What the gateway wrote is shown when a test fails. */
export function inMode(
  mode: GatewayMode,
  name: string,
  config: (provider: FakeProvider) => string,
  suite: (context: ModeContext) => void,
): void {
  describe(`${name} (${mode})`, () => {
    let provider: FakeProvider | undefined;
    let gateway: Gateway | undefined;
    before(async () => {
      provider = await startFakeProvider();
      gateway = await startGateway({ mode, config: config(provider) });
    });
    afterEach((test) => {
      // A test's hooks get the context of the test itself, though the type allows a suite's.
      const { passed } = test as TestContext;
      if (!passed && gateway !== undefined) {
        test.diagnostic(gateway.logs());
      }
    });
    after(async () => {
      await gateway?.stop();
      await provider?.close();
    });
    suite({
      mode,
      get gateway() {
        return started(gateway);
      },
      get provider() {
        return started(provider);
      },
    });
  });
}

function started<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error("the suite has not started");
  }
  return value;
}
