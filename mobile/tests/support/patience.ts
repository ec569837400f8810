/** Waiting ends only with the test: a busy machine is not a failure. */

import { configure } from "@testing-library/react-native";

configure({ asyncUtilTimeout: 300_000 });
