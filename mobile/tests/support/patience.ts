/** Waiting for what a screen shows ends only with the test: a busy machine is no failure. */

import { configure } from "@testing-library/react-native";

configure({ asyncUtilTimeout: 300_000 });
