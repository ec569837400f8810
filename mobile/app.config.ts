import type { ExpoConfig } from "expo/config";

const config: ExpoConfig = {
  name: "NanoRay",
  slug: "nanoray",
  version: "0.1.0",
  scheme: "nanoray",
  orientation: "default",
  userInterfaceStyle: "automatic",
  icon: "./assets/icon.png",
  ios: {
    bundleIdentifier: "org.nanoray.mobile",
    supportsTablet: true,
    infoPlist: { ITSAppUsesNonExemptEncryption: false },
    // APIs used by Expo and React Native for which Apple requires a reason.
    privacyManifests: {
      NSPrivacyTracking: false,
      NSPrivacyCollectedDataTypes: [],
      NSPrivacyAccessedAPITypes: [
        {
          NSPrivacyAccessedAPIType: "NSPrivacyAccessedAPICategoryFileTimestamp",
          NSPrivacyAccessedAPITypeReasons: ["C617.1", "3B52.1"],
        },
        { NSPrivacyAccessedAPIType: "NSPrivacyAccessedAPICategoryUserDefaults", NSPrivacyAccessedAPITypeReasons: ["CA92.1"] },
        { NSPrivacyAccessedAPIType: "NSPrivacyAccessedAPICategoryDiskSpace", NSPrivacyAccessedAPITypeReasons: ["E174.1"] },
        { NSPrivacyAccessedAPIType: "NSPrivacyAccessedAPICategorySystemBootTime", NSPrivacyAccessedAPITypeReasons: ["35F9.1"] },
      ],
    },
  },
  android: {
    package: "org.nanoray.mobile",
    adaptiveIcon: { foregroundImage: "./assets/icon.png", backgroundColor: "#0e1116" },
    allowBackup: false,
    // The system's pickers provide the chosen files; the app has no access to others.
    blockedPermissions: [
      "android.permission.READ_EXTERNAL_STORAGE",
      "android.permission.WRITE_EXTERNAL_STORAGE",
      "android.permission.READ_MEDIA_IMAGES",
      "android.permission.RECORD_AUDIO",
    ],
  },
  web: {
    bundler: "metro",
    output: "single",
    favicon: "./assets/icon.png",
    name: "NanoRay",
    shortName: "NanoRay",
    themeColor: "#0b5cad",
    backgroundColor: "#f6f7f9",
  },
  plugins: [
    ["expo-router", { root: "./app" }],
    "expo-localization",
    "expo-sqlite",
    "expo-asset",
    [
      "expo-image-picker",
      {
        cameraPermission: "Photographs of films and screens are judged on this device and sent nowhere.",
        photosPermission: "Radiographs that you choose are judged on this device and sent nowhere.",
        microphonePermission: false,
      },
    ],
    ["expo-splash-screen", { image: "./assets/icon.png", backgroundColor: "#0e1116", imageWidth: 160 }],
    "onnxruntime-react-native",
    "./plugins/without-network.cjs",
  ],
  // The base path of the web app (`build-web.mjs --base`).
  experiments: { typedRoutes: true, ...(process.env.NANORAY_BASE ? { baseUrl: process.env.NANORAY_BASE } : {}) },
  // The owner's EAS account; each developer sets their own.
  ...(process.env.EAS_PROJECT_ID ? { extra: { eas: { projectId: process.env.EAS_PROJECT_ID } } } : {}),
};

export default config;
