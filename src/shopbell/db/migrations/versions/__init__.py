"""db/migrations/versions"""
