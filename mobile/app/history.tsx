export { HistoryScreen as default } from "@/screens/HistoryScreen";
